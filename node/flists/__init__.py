"""The flists that a node runs from: which, from where, how they are mounted, their services."""
