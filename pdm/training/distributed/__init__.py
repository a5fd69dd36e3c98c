"""Many workers as one: the launcher, process groups, sharded weights."""
