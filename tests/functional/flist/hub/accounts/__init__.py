"""Accounts of a hub, and signing in."""
