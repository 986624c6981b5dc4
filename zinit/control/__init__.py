"""The control socket and its protocols, and the change of programs."""
