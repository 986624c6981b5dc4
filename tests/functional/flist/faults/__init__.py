"""Tests with real parts of `flist/faults`."""
