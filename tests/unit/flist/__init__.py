"""Fast tests of `flist`."""
