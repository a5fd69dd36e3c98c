"""From pictures to feature vectors: the networks, the spaces, what is kept of real pictures."""
