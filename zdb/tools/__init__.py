"""What looks after the folders of a server while the server is not running."""
