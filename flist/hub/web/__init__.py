"""The hub over HTTP: a router for each part."""
