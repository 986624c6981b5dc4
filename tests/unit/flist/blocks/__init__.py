"""Fast tests of `flist/blocks`."""
