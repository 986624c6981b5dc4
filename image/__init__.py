"""Builds a release from packages: kernel and initramfs, the same from the same inputs."""
