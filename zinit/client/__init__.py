"""The `zinit` command, a client of the control socket."""
