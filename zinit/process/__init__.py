"""Processes: spawning, signals, users, control groups."""
