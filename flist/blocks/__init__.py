"""Blocks: chunks encoded and decoded, whole or in parts."""
