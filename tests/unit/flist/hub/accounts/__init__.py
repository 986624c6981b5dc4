"""Fast tests of `flist/hub/accounts`."""
