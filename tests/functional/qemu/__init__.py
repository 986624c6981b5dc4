"""Tests with real parts of `qemu`."""
