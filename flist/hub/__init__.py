"""The server that stores flists and blocks and serves them over HTTP."""
