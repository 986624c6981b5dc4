"""What goes past ASGI: files that the kernel sends, and the answers to hot reads of files.

head      recognises such a request; every other one is left to h11
sending   files that the kernel sends
cycle     one answer, from its head to its line in the log
"""
