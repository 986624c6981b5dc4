"""Shell completion and man pages, made from the parsers of all verbs."""
