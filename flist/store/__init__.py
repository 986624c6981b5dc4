"""Where blocks are kept: get, put, has."""
