"""Whether samples are copies of training pictures: their nearest neighbours, and shares."""
