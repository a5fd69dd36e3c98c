"""Training: the loop, the objectives, checkpoints, monitoring, and launchers for one or many
workers."""
