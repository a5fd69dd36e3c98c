"""Pictures that must not be used any more: the list of removals, and where they still are."""
