"""A LAN for tests: namespaces on a bridge, a network boot client, a cable for machines."""
