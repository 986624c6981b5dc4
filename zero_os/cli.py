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
    """A verb's module and its one-line summary."""

    module: str
    summary: str


VERBS = {
    "boot": Verb("zero_os.boot.cli", "build a release, serve it, and boot a node from it in QEMU"),
    "image": Verb("image.cli", "build a release: kernel and initramfs"),
    "bootstrap": Verb("bootstrap_server.cli", "serve personalised boot images and releases"),
    "flist": Verb("flist.cli", "pack, unpack, mount and list flists"),
    "hub": Verb("flist.hub.cli", "serve flists and their blocks"),
    "registry": Verb("registry.cli", "serve farms, nodes and the log of their reports"),
    "core": Verb("core.cli", "the daemons of a node: identity, updates, its API (run by zinit)"),
    "zinit": Verb("zinit.client.cli", "run or control the process manager"),
    "node": Verb("zero_os.node", "call a node's API; find nodes; make certificates for callers"),
    "zdb": Verb("zdb.cli", "serve keys and values from one disk; check and repair their files"),
    "zstor": Verb("zstor.cli", "store files dispersed over many zdb servers; repair them"),
    "vm": Verb("qemu.cli", "boot an image in a QEMU machine"),
    "completion": Verb("zero_os.shell.cli", "print the completion script of bash, zsh or fish"),
    "man": Verb("zero_os.shell.cli", "write the man pages of all verbs to a folder"),
    "test": Verb("zero_os.develop", "run the tests (arguments go to pytest)"),
    "check": Verb("zero_os.develop", "run ruff and mypy strict"),
    "bench": Verb("zero_os.develop", "run the benchmarks in bench/, or only the named one"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status; without `argv`, be the whole program."""
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
    """Print the list of verbs."""
    sys.stdout.write(usage())
    return 0


def print_version(_: Sequence[str]) -> int:
    """Print the version."""
    from common.version import project_version

    sys.stdout.write(f"zos {project_version()}\n")
    return 0


def run_verb(name: str, argv: Sequence[str]) -> int:
    """Import the module of `name` and call its `main`."""
    verb = VERBS.get(name)
    if verb is None:
        raise UsageError(f"unknown verb {name!r}", hint="`zos --help` lists them all")
    try:
        module = importlib.import_module(verb.module)
    except ModuleNotFoundError as error:
        if not f"{verb.module}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"cannot run zos {name} here: a node does not have it") from error
    status: int = module.main(argv, f"zos {name}")
    return status


def usage() -> str:
    """Return the text of `zos --help`; it fits on one screen."""
    rows = "".join(f"  {name:<10} {verb.summary}\n" for name, verb in VERBS.items())
    return (
        "usage: zos VERB [ARGUMENT ...]\n\n"
        f"{rows}\n"
        "`zos VERB --help` lists the options of a verb; `zos --version` prints the version.\n"
        "Also installed: `zinit` and `rfs`, with the command lines of the original tools.\n"
    )
