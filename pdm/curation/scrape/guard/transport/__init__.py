"""URLs, requests and bodies as they go over the wire."""
