"""Tests with real parts of `zero_os`."""
