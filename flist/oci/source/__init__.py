"""Where images come from: registries, layouts, archives."""
