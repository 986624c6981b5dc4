"""What the options about stores are unless the user says otherwise."""

DEFAULT_LIMIT_BYTES = 4 << 30
"""The limit of the cache."""
DEFAULT_WAIT_S = 60.0
"""How long a read waits for a store that is down."""
