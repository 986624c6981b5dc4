"""The append-only log of all that the registry was told: a Merkle tree as in RFC 9162."""
