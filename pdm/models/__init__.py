"""The networks. They import torch and know nothing of data, training or files elsewhere."""
