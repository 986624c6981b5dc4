"""Unit tests of `qemu`."""
