"""Fast tests of `flist/format`."""
