"""Tests of unpacking on a real file system."""
