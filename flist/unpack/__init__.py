"""From a flist to a directory, and the check of a flist and its blocks."""
