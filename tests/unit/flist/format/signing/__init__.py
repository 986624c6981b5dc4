"""Fast tests of `flist/format/signing`."""
