"""Readers of data sets: official files of CIFAR, SVHN and MNIST, folders of images, RecordIO files."""
