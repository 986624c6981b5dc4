"""Fast tests of `bootstrap_server/script`."""
