"""Accounts, their tokens, and who a request comes from."""
