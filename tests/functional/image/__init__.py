"""Functional tests of `image`."""
