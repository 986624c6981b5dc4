"""Running servers of the kit, and clients that misbehave."""
