"""Which names accounts may have: a repository may have the same."""

import re

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MIN_PASSWORD = 8
MAX_PASSWORD = 1024
