"""What binds an image to its farm and to this server."""
