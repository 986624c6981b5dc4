"""Fast tests of `common`."""
