"""The older `.flist` format: read only."""
