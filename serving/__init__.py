"""The server kit that every HTTP server of the project uses. A leaf: it imports only `common`."""
