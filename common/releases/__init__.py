"""Releases in a store, and the signed channels that point to them: what every reader shares."""
