"""Unit tests of `node.network`."""
