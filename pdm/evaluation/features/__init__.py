"""Maps pictures to feature vectors: networks, feature spaces, and cached summaries of real
pictures."""
