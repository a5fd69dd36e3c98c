"""Work by parts: a folder that outlives a kill, and workers for its parts, here or on Ray."""
