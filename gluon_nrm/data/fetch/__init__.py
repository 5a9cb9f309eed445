"""Getting the files of a data set: downloads that go on where they stopped, checksums, instructions."""
