"""`zos completion` and `zos man`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.files import write_atomic
from common.version import project_version
from zero_os.shell.commands import all_commands
from zero_os.shell.completion import SHELLS
from zero_os.shell.manual import pages


def main(argv: Sequence[str], prog: str) -> int:
    """Run the verb that is the last word of `prog`."""
    return {"completion": complete, "man": manual}[prog.split()[-1]](argv, prog)


def complete(argv: Sequence[str], prog: str) -> int:
    """Print the completion script of a shell."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Print the completion script of a shell."
    )
    parser.add_argument("shell", choices=tuple(SHELLS))
    shell = parser.parse_args(argv).shell
    sys.stdout.write(SHELLS[shell](all_commands()))
    return 0


def manual(argv: Sequence[str], prog: str) -> int:
    """Write the man pages."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Write the man pages of all verbs to a folder."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="for example share/man/man1")
    folder: Path = parser.parse_args(argv).folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages(all_commands(), project_version()).items():
        write_atomic(folder / name, text.encode())
    return 0
