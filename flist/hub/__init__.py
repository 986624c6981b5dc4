"""The server that gives out flists and blocks."""
