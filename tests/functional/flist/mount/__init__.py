"""Tests of mounts with a real kernel."""
