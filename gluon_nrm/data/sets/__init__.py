"""Data sets: images and labels, registered names, names of the images."""
