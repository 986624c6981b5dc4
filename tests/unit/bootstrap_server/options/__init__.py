"""Fast tests of `bootstrap_server/options`."""
