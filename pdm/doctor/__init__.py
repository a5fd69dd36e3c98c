"""Checks whether this machine can run the pipeline with these params, before anything is started:
the command `pyramid doctor`."""
