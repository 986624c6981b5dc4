"""Tests with real parts of `zinit`."""
