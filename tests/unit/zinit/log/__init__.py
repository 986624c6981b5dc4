"""Fast tests of `zinit/log`."""
