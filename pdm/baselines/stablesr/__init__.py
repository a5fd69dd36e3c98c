"""StableSR (Wang et al., arXiv:2305.07015): Stable Diffusion 2.1 that enlarges pictures.

Its weights are the user's; `pyramid import stablesr` turns them into folders of the project. The
networks are written from the paper and the shapes of the published weights, whose names they keep.
"""
