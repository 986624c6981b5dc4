"""`python -m zero_os` is the `zos` command."""

import sys

from zero_os.cli import main

sys.exit(main())
