"""The metadata file: tables, reading and writing, signatures, identity, comparison."""
