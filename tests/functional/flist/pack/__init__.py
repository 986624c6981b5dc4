"""Tests with real parts of `flist/pack`."""
