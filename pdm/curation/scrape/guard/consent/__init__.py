"""How hosts forbid fetching or using a picture: robots.txt and opt-out headers."""
