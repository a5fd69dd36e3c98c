"""What is measured on a picture: one number for each question that a rule may ask."""
