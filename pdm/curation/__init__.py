"""From sources of images to exact, judged and de-duplicated shards."""
