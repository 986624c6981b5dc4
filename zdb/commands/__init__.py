"""What the server does when it is asked: one function a command, and a table of them."""
