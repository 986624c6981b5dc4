"""Fast tests of `flist/http`."""
