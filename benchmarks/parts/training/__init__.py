"""Speed of trainings, and what checkpoints, resuming and a lost worker cost."""
