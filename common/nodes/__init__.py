"""What nodes, the registry and the tools of farmers agree on: names, signed messages."""
