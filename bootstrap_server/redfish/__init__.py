"""Starts machines from an image over the network of their management controllers."""
