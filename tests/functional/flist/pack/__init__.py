"""Tests of packing real trees."""
