"""Fast tests of `flist/pack`."""
