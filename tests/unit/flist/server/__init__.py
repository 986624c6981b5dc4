"""Fast tests of `flist/server`."""
