"""What the registry keeps: its database and its key."""
