"""The screen on the monitor: whose node this is, where it is, and what is wrong."""
