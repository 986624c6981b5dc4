"""Fast tests of `zinit`."""
