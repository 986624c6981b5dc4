"""Helpers for tests in virtual machines."""
