"""The registry: farms, nodes, their signed reports, and an append-only log of all of it."""
