"""Photo-like drawings, and the comparison of training with and without unlabelled images on them."""
