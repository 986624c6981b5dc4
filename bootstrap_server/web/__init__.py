"""The HTTP interface: one module per area."""
