"""The control socket, its protocols and commands, and the re-execution of zinit."""
