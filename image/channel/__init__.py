"""Signed channels: a TUF repository on the release store, and who may publish where."""
