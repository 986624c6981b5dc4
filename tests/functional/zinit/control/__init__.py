"""Tests of what clients see of `zinit`."""
