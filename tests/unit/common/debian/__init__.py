"""Tests of `common.debian`."""
