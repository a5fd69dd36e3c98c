"""Pictures that are written row by row, so that memory does not follow their size."""
