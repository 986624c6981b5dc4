"""Debian packages: fetching them, reading the archive, running the programs in it."""
