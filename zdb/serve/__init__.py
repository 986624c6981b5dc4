"""The server: its loop, its connections, and what runs beside it."""
