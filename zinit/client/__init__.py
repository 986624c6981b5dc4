"""The `zinit` command, a client of the control socket."""

DEFAULT_SOCKET = "/run/zinit.sock"
