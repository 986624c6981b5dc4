"""Tests of `serving.workers`."""
