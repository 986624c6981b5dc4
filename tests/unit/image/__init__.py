"""Unit tests of `image`."""
