"""Runs the `zos` command as `python -m zero_os`."""

import sys

from zero_os.cli import main

sys.exit(main())
