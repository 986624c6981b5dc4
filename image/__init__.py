"""Builds a release of the operating system: a kernel and an initramfs, from packages and wheels."""
