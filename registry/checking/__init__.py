"""Computes everything that the registry keeps again from its log, and compares."""
