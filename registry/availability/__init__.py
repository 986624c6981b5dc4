"""Monthly availability, as files that the registry signs."""
