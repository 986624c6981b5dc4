"""Zero-Store: files in parts, dispersed over many zdb servers, and repaired."""
