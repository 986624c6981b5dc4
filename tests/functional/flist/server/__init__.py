"""Tests with real parts of `flist/server`."""
