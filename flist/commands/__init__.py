"""The commands of `zos flist` and `rfs`, one module per verb; `shared` holds what several use."""
