"""Tests with real parts of `node`."""
