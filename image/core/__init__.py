"""The flist `zos-core`, as the archive that is packed: build and audit."""
