"""Fast tests of `bootstrap_server/lan`."""
