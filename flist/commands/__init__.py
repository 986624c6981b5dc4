"""The commands of `zos flist` and `rfs`, one module each."""
