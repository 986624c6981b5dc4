"""Fast tests of `zinit/process`."""
