"""What is answered below ASGI: hot reads of files, whose requests have nothing unusual.

head      recognises such a request; every other one is left to h11
cycle     one answer, from its head to its line in the log
"""
