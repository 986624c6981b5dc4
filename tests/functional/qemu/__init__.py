"""Functional tests of `qemu`."""
