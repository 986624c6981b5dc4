"""Tests with real parts of `flist/bulk`."""
