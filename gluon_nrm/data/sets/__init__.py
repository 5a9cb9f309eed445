"""A data set: its images and labels, its name in recipes, the identity of each image."""
