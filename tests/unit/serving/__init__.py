"""Fast tests of `serving`."""
