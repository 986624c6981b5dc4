"""Side-by-side benchmarks against peers, one file per question."""

import os

# Installed programs have byte code; compiling every module at the start must not be measured.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
