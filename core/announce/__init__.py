"""Announces the node's API on the local network: mDNS and DNS-SD (RFC 6762, 6763)."""
