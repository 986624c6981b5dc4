"""What every package needs and none owns: errors, atomic files, subprocesses, paths.

A leaf: it imports nothing of this project.
"""
