"""Functional tests of `node.network`."""
