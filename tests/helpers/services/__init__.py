"""Services that a bootstrap server works with: a database, a management controller."""
