"""Unit tests of `common`."""
