"""A small client of The Update Framework: verifies signed metadata with few imports.

It is for nodes and for the bootstrap server. It accepts what python-tuf accepts of the keys and
features that our repositories use, which tests compare; python-tuf itself costs a process 28 MB.
"""
