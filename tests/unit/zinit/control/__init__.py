"""Fast tests of `zinit/control`."""
