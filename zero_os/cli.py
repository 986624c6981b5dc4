"""The `zos` command: a table of verbs, each imported only when it is used.

A verb is a module with `main(argv, prog) -> exit status`.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from common.ending import leave
from common.errors import UsageError, run_command


class Verb(NamedTuple):
    """Where a verb lives and what it does."""

    module: str
    summary: str


VERBS = {
    "boot": Verb("zero_os.boot.cli", "build, serve and boot a node in QEMU, and show it working"),
    "image": Verb("image.cli", "build a release: kernel and initramfs"),
    "bootstrap": Verb("bootstrap_server.cli", "serve personalised boot images and releases"),
    "flist": Verb("flist.cli", "pack, unpack, mount and list flists"),
    "hub": Verb("flist.hub.cli", "serve flists and their blocks"),
    "zinit": Verb("zinit.client.cli", "run or talk to the process manager"),
    "node": Verb("node.cli", "what zinit runs on a node: network, bring-up"),
    "vm": Verb("qemu.cli", "boot an image in a QEMU machine"),
    "test": Verb("zero_os.develop", "run the tests (arguments go to pytest)"),
    "check": Verb("zero_os.develop", "run ruff and mypy strict"),
    "bench": Verb("zero_os.develop", "run the benchmarks in bench/ (or the one that is named)"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status; without `argv` this is the whole program."""
    return leave(run(sys.argv[1:])) if argv is None else run(argv)


def run(words: Sequence[str]) -> int:
    """Run one verb and return its exit status."""
    if len(words) > 1 and words[0] == "help":
        words = [*words[1:], "--help"]
    if not words or words[0] in ("-h", "--help", "help"):
        return run_command(print_usage, [], "zos")
    if words[0] in ("-V", "--version"):
        return run_command(print_version, [], "zos")
    name, *rest = words
    return run_command(lambda args: run_verb(name, args), rest, f"zos {name}")


def print_usage(_: Sequence[str]) -> int:
    """Print what there is."""
    sys.stdout.write(usage())
    return 0


def print_version(_: Sequence[str]) -> int:
    """Print which version this is."""
    from common.version import project_version

    sys.stdout.write(f"zos {project_version()}\n")
    return 0


def run_verb(name: str, argv: Sequence[str]) -> int:
    """Import the module of `name` and hand it its arguments."""
    verb = VERBS.get(name)
    if verb is None:
        raise UsageError(f"unknown verb {name!r}", hint="`zos --help` lists them all")
    module = importlib.import_module(verb.module)
    status: int = module.main(argv, f"zos {name}")
    return status


def usage() -> str:
    """Return the one screen that `zos --help` prints."""
    rows = "".join(f"  {name:<10} {verb.summary}\n" for name, verb in VERBS.items())
    return (
        "usage: zos VERB [ARGUMENT ...]\n\n"
        f"{rows}\n"
        "`zos VERB --help` says what a verb takes; `zos --version` is there, too.\n"
        "Installed beside zos: `zinit` and `rfs`, with the commands that upstream's users know.\n"
    )
