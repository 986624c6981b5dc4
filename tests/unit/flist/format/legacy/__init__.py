"""Fast tests of `flist/format/legacy`."""
