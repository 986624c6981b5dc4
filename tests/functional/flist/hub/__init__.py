"""Tests with real parts of `flist/hub`."""
