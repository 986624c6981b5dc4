"""Service files: from YAML text to a `Service`. No I/O but in `folder`."""
