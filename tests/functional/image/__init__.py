"""Tests with real parts of `image`."""
