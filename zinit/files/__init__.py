"""Service files: from YAML text to a `Service`."""
