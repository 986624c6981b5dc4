"""Fast tests of `flist/archive`."""
