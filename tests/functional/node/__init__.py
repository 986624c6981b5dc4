"""Functional tests of `node`."""
