"""Zero-DB: an append-only key-value server for one disk."""
