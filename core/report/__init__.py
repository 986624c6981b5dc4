"""Reports to the registry: that the node is there, what it has, and that it still is."""
