"""Generations: which set of flists a node runs, the change to another one, and the way back."""
