"""Where metadata is kept: over several stores, of which a majority must answer."""
