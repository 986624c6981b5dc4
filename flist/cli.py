"""`zos flist COMMAND` and `rfs COMMAND`: a table of commands, each imported only when it is used.

A command is a module with `add_arguments(parser)` and `run(options) -> exit status`.
"""

import argparse
import functools
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from common.ending import leave
from common.errors import UsageError, run_command


class Command(NamedTuple):
    """A command's module and its summary."""

    module: str
    summary: str


COMMANDS = {
    "pack": Command("flist.commands.pack", "pack a directory or archive into a flist and blocks"),
    "unpack": Command("flist.commands.unpack", "restore a flist's files into a directory"),
    "mount": Command(
        "flist.commands.mount", "mount a flist; blocks are fetched when they are read"
    ),
    "tree": Command("flist.commands.tree", "list the entries of a flist"),
    "sign": Command("flist.commands.sign", "sign a flist with an Ed25519 key"),
    "verify": Command("flist.commands.verify", "check a flist's signature, metadata and blocks"),
    "repair": Command("flist.commands.repair", "mend damaged blocks in the stores of a flist"),
    "inspect": Command(
        "flist.commands.inspect", "show a flist's identity, tags, stores and totals"
    ),
    "diff": Command("flist.commands.diff", "show the differences between two flists"),
    "merge": Command("flist.commands.merge", "merge flists into one; the first wins"),
    "config": Command("flist.commands.config", "show or change tags and stores"),
    "clone": Command("flist.commands.clone", "copy the blocks of a flist into other stores"),
    "docker": Command("flist.commands.docker", "make a flist of a container image"),
    "convert": Command("flist.commands.convert", "convert between .fl and the older .flist"),
    "prefetch": Command("flist.commands.prefetch", "fetch a flist's blocks into the cache"),
    "stats": Command("flist.commands.stats", "show the statistics of a mount"),
    "remount": Command("flist.commands.remount", "replace the flist of a mount by another version"),
    "exists": Command("flist.commands.exists", "check whether stores have a block, file or flist"),
    "gc": Command("flist.commands.gc", "remove blocks that no flist needs"),
    "publish": Command("flist.commands.publish", "upload a flist and its signature to a hub"),
    "history": Command("flist.commands.history", "list the versions of a flist on a hub"),
    "rollback": Command("flist.commands.rollback", "publish an earlier version on a hub again"),
    "upload": Command("flist.commands.upload", "send a file to a server as plain blocks"),
    "upload-dir": Command("flist.commands.upload_dir", "send a directory's files to a server"),
    "flist-create": Command(
        "flist.commands.flist_create", "pack a directory with its blocks on a server"
    ),
    "download": Command("flist.commands.download", "download an uploaded file"),
    "download-dir": Command("flist.commands.download_dir", "restore an uploaded directory"),
    "website-publish": Command(
        "flist.commands.website_publish", "publish a directory as a website"
    ),
    "token": Command("flist.commands.token", "sign in to a server and print the token"),
    "login": Command("flist.commands.login", "sign in to a hub and keep the token"),
    "logout": Command("flist.commands.logout", "end that session, and forget the token"),
    "track": Command("flist.commands.track", "count downloads of a user's blocks"),
    "track-blocks": Command("flist.commands.track_blocks", "count downloads of blocks"),
    "track-website": Command(
        "flist.commands.track_website", "count downloads of a website's blocks"
    ),
    "sync": Command("flist.commands.sync", "copy blocks from one server to another"),
    "hub": Command("flist.commands.hub", "upload, link, tag and merge flists on a hub"),
    "keygen": Command("flist.commands.keygen", "make a key pair for signing"),
}

ELSEWHERE = {"server": "the server is `zos hub serve FOLDER`"}
HASH_COMMANDS = ("sync", "track-blocks")


def entry() -> int:
    """Run `rfs`."""
    return leave(run_command(lambda argv: main(argv, "rfs"), sys.argv[1:], "rfs"))


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command and return its exit status."""
    words, is_debug = take_debug(argv)
    if len(words) > 1 and words[0] == "help":
        words = [words[1], "--help"]
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage(prog))
        return 0
    if words[0] in ("-V", "--version"):
        from common.version import project_version

        sys.stdout.write(f"{prog} {project_version()}\n")
        return 0
    if words[0] == "flist" and len(words) > 1:
        words.pop(0)  # upstream has `rfs flist tree` and `rfs flist inspect`
    name, *rest = words
    command = COMMANDS.get(name)
    if command is None:
        help_hint = f"`{prog} --help` lists them all"
        raise UsageError(f"unknown command {name!r}", hint=ELSEWHERE.get(name, help_hint))
    module = importlib.import_module(command.module)
    layout = functools.partial(argparse.RawDescriptionHelpFormatter, width=terminal_width())
    parser = argparse.ArgumentParser(f"{prog} {name}", None, module.__doc__, formatter_class=layout)
    module.add_arguments(parser)
    parser.set_defaults(debug=is_debug, is_upstream=prog == "rfs")
    if name in HASH_COMMANDS and "-h" in rest[:-1]:  # upstream's -h HASH, which hides the help
        rest[rest.index("-h")] = "--hash"
    status: int = module.run(parser.parse_args(rest))
    return status


def terminal_width() -> int:
    """Return the columns for the help. Argparse would import `shutil` for that, and ask for them
    at each option."""
    try:
        columns = int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size().columns
    except (OSError, ValueError):
        columns = 0
    return (columns or 80) - 2


def take_debug(argv: Sequence[str]) -> tuple[list[str], bool]:
    """Return the words without `--debug`, and whether it was there; if so, log on stderr.

    It may be anywhere before `--`.
    """
    end = list(argv).index("--") if "--" in argv else len(argv)
    words = [word for word in argv[:end] if word != "--debug"]
    is_debug = len(words) < end
    if is_debug:
        import logging

        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s: %(message)s")
    return [*words, *argv[end:]], is_debug


def usage(prog: str) -> str:
    """Return the text of `--help`."""
    rows = "".join(f"  {name:<15} {command.summary}\n" for name, command in COMMANDS.items())
    return (
        f"usage: {prog} COMMAND [ARGUMENT ...] [--debug]\n\n{rows}\n"
        f"`{prog} COMMAND --help` describes a command, `{prog} --version` shows the version.\n"
        "--debug logs on stderr every block that a store is asked for, and every failure.\n"
    )
