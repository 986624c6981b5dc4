"""The parts of a registry, and what is shown of farms and nodes."""
