"""Software TPMs, boots that are measured into them, and quotes."""
