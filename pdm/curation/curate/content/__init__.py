"""Selects images by what they show, given examples or words (`curate.content`).

The workers compute an embedding of each image (`embedding`). From it, the driver computes the score
`likeness` (`likeness`). Embeddings are cached with the scores, so no image is decoded again when
examples, words or limits change.
"""
