"""Fast tests of `flist/hub/web`."""
