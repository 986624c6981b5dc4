"""Fast tests of `node`."""
