"""Commands that work on a user's image: fill a part of it in, enlarge it, paint it from a map."""
