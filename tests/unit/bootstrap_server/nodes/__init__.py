"""Fast tests of `bootstrap_server/nodes`."""
