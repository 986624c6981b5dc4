"""Fast tests of `flist/store`."""
