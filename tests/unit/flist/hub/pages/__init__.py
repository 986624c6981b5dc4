"""Fast tests of `flist/hub`."""
