"""Fast tests of `flist/commands`."""
