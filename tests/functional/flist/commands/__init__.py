"""Tests with real parts of `flist/commands`."""
