"""Unit tests of `common.debian`."""
