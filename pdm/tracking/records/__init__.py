"""Records of tracked runs, in files of their folders."""
