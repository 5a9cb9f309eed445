"""From a data set to batches: splits, augmentation, streams."""
