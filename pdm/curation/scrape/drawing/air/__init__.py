"""Sky, water and weather."""
