"""Nodes: which farm they belong to, and how far each boot has got."""
