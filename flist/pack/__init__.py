"""From a directory to a flist and its blocks."""
