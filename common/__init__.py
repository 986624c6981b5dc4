"""What several packages share: errors, atomic files, locks, subprocesses, paths, Debian packages.

A leaf package: it imports nothing else of this project.
"""
