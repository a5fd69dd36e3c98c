"""Pictures that must not be used any more: the list of removals, and traces of such pictures."""
