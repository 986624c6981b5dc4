"""Builds a release of the operating system, kernel and initramfs, from packages and wheels."""
