"""Drawing, judging, writing and reading images, against peers."""
