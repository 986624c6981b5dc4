"""Locks: exactly which packages and wheels a release is built from."""
