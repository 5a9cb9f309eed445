"""Readers of data sets: the files that their authors publish, folders of images, RecordIO files."""
