"""What people say of a picture: captions, a class, boxes, a segmentation map."""
