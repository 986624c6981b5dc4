"""Namespaces on a disk. One process has the folders, and one thread of it uses what is here."""
