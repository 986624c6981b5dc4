"""What differs between two releases, and where: packages, modules, files, bytes."""
