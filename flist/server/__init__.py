"""The HTTP interface of upstream's rfs server, which our hub shares, and its client."""
