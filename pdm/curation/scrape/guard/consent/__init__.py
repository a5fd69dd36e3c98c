"""What hosts say against fetching or using a picture."""
