"""From pictures to feature vectors: the networks, the views, what is kept of real pictures."""
