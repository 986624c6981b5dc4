"""Fast tests of `flist/oci`."""
