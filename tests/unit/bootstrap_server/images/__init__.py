"""Fast tests of `bootstrap_server/images`."""
