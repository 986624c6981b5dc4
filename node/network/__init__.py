"""Brings up the network of a node: links, DHCP leases, addresses and routes."""
