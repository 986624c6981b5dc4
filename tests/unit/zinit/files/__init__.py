"""Fast tests of `zinit/files`."""
