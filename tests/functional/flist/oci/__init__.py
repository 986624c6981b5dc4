"""Tests with real parts of `flist/oci`."""
