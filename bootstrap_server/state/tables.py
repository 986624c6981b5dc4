"""The tables of the bootstrap server."""

from serving import tokens

TABLES = (tokens.METADATA,)
