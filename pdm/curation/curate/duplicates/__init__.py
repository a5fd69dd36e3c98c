"""Pictures that are the same: small copies, hashes of them, and which copy is kept."""
