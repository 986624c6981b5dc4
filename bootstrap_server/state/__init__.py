"""What the server keeps: its database."""
