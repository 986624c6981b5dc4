"""A DHCP client (RFC 2131): a pure state table, the wire format, and a shell with the socket."""
