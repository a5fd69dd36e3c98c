"""What of a picture is used: borders are trimmed, the crop is placed on content or faces."""
