"""Fast tests of `zero_os`."""
