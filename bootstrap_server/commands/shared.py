"""What the verbs share."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def talk(text: str) -> None:
    """Report progress on stderr."""
    print(f"zos bootstrap: {text}", file=sys.stderr, flush=True)
