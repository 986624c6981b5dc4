"""Unit tests of `zero_os`."""
