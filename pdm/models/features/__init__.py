"""Networks that were trained to classify images, and what is built on their features."""
