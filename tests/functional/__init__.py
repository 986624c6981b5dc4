"""Tests with real processes, mounts and servers."""
