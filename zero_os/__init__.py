"""The front door: the `zos` command, and `zos boot`, which wires everything on one machine."""
