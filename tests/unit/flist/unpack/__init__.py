"""Fast tests of `flist/unpack`."""
