"""Limits and names that every room shares. Sources: upstream's headers, version 2.0.7."""

MAX_KEY = 255
MAX_VALUE = 8 << 20
DEFAULT = "default"  # the namespace that always exists

USER = "user"  # keys are chosen by clients
SEQ = "seq"  # keys are numbers that the namespace hands out, 8 bytes little-endian
MIX = "mix"  # of a server: every namespace has its own mode
MODES = (USER, SEQ)

DEFAULT_FILE_SIZE = 256 << 20
MAX_FILE_SIZE = 1 << 32  # offsets in the files have 32 bits
