"""The `zos` command, and `zos boot`, which runs the whole chain on one machine."""
