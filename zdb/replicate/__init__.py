"""A server that follows another one: it serves what it has copied, and takes over when told to."""
