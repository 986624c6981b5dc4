"""A caching mirror of other servers: what was verified is kept, and served when they are away."""
