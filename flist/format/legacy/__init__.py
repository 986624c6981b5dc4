"""The older `.flist` format: Cap'n Proto records in SQLite in a gzip tar."""
