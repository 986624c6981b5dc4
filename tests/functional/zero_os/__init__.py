"""Functional tests of `zero_os`."""
