"""What keeps stored files whole: scrub, rebuild, the collection of garbage."""
