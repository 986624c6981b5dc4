"""A caching mirror of what nodes fetch from a bootstrap server and a hub."""
