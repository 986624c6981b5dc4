"""The wire: requests parsed from bytes, and replies."""
