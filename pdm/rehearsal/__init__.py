"""A rehearsal: every stage at its real size, on a handful of pictures, for two training steps."""
