"""0-hub's interface."""
