"""Accounts, tokens, and the ways to sign in."""
