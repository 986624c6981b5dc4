"""A node's network in virtual machines."""
