"""Side-by-side benchmarks against the peers, one file per question."""

import os

# What is installed has its byte code: a start that compiles everything anew is not what is asked.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
