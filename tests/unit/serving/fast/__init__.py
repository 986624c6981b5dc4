"""Tests of `serving.fast`."""
