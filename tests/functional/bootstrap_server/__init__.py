"""Tests with real parts of `bootstrap_server`."""
