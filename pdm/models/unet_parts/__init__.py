"""Parts of the pyramid UNet: embedding of time, stages of its trunk, streams between them."""
