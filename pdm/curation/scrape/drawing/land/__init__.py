"""The land: its heights, what lies on it, its light, and how the camera sees it."""
