"""What is known of a run, in the files of its folder."""
