"""Tests with real parts of `flist/format`."""
