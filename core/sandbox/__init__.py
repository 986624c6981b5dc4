"""What a daemon may do: its user and capabilities are checked, its system calls are limited.

Each daemon has a `Profile`. `confine(profile)` makes it hold, or the daemon does not start.
"""
