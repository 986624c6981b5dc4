"""Unit tests of `image.lock`."""
