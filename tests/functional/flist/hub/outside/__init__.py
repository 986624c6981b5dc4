"""The hub as its clients see it: recordings, descriptions, hostile clients, killed servers."""
