"""A DHCPv6 client (RFC 8415): a pure state table, the wire format, and a shell with the socket."""
