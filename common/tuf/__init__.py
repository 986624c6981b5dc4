"""A small client of The Update Framework: verifies signed metadata with few imports.

It is for nodes and for the bootstrap server. It accepts what python-tuf accepts of the keys and
features that our repositories use, which tests compare. python-tuf would bring 190 more modules,
10 MB and a tenth of a second to each process.
"""
