"""Fast tests of `bootstrap_server/channels`."""
