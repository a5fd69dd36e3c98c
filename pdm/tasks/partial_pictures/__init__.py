"""Pictures that are known in part, masked or small: made for training, encoded, filled in."""
