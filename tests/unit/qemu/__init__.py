"""Fast tests of `qemu`."""
