"""Fast tests of `zinit/life`."""
