"""What an image must show, by examples or by words (`curate.content`).

On the workers each image becomes an embedding, a vector that tells contents apart (`embedding`);
from it the driver computes the score `likeness` (`likeness`). Embeddings are cached with the
scores, so that other examples, words or limits look at no pixel again.
"""
