"""Download the files of a data set, verify their checksums, or tell the user how to get them."""
