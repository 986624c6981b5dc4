"""Core-0: what runs on a node from the `zos-core` flist, above zinit and the network."""
