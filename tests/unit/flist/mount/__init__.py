"""Fast tests of `flist/mount`."""
