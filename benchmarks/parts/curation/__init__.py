"""Drawing and judging images, finding duplicates, writing and reading shards, against peers."""
