"""The older `.flist` format, read only: Cap'n Proto records in SQLite in a gzip tar."""
