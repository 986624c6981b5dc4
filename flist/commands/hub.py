"""Use a hub in 0-hub's interface, with the words of upstream's `zflist hub`.

The token comes from --token or $ZFLIST_HUB_TOKEN, the hub's URL from --hub or $ZFLIST_HUB. With
--user or $ZFLIST_HUB_USER, a member of a group works in the group's repository. A name may lack
its suffix .flist.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from common.errors import UsageError
from flist.errors import FlistError
from flist.server.zerohub import ZeroHubClient, open_zerohub
from flist.values import parse_token

DEFAULT_HUB = "https://hub.grid.tf"
USER = r"[A-Za-z0-9._@+-]*"
Call = Callable[[ZeroHubClient, list[str]], str | None]


class Action(NamedTuple):
    """What a command takes, says and does; `is_open` means that the last word may be repeated."""

    words: str
    summary: str
    call: Call
    is_open: bool = False


def split(text: str) -> tuple[str, str]:
    """Return repository and name of REPO/NAME."""
    repo, slash, name = text.partition("/")
    if not (repo and slash and name) or "/" in name:
        raise UsageError(f"cannot use {text!r}", hint="REPO/NAME")
    return repo, name


def link_across(hub: ZeroHubClient, words: list[str]) -> None:
    """Link a name to another repository's flist."""
    name, repo, source = words
    hub.call("GET", name, "crosslink", repo, source)


def read_link(hub: ZeroHubClient, words: list[str]) -> str:
    """Return where a link leads."""
    target = hub.light(*split(words[0])).get("target")
    if not isinstance(target, str):
        raise FlistError(f"{words[0]} is not a link")
    return target


def merge(hub: ZeroHubClient, words: list[str]) -> None:
    """Merge flists."""
    name, *sources = words
    for source in sources:
        split(source)
    hub.merge(name, sources)


def check_token(hub: ZeroHubClient, _words: list[str]) -> None:
    """Raise `FlistError` unless the hub takes the token."""
    hub.username()


def promote(hub: ZeroHubClient, words: list[str]) -> None:
    """Copy a flist of another repository."""
    hub.call("GET", "promote", *split(words[0]), words[1])


ACTIONS = {
    "upload": Action(
        "FILE", "send a .tar.gz, or a flist whose blocks are on the hub",
        lambda hub, words: hub.upload(Path(words[0])),
    ),
    "promote": Action("REPO/FLIST NAME", "copy a flist of another repository", promote),
    "symlink": Action(
        "FLIST NAME", "link NAME to a flist of the same repository",
        lambda hub, words: hub.call("GET", words[0], "link", words[1]),
    ),
    "crosslink": Action(
        "NAME REPO FLIST", "link NAME to a flist of another repository", link_across
    ),
    "delete": Action(
        "NAME", "remove a flist or a link", lambda hub, words: hub.call("DELETE", words[0])
    ),
    "rename": Action(
        "NAME NEW", "give a flist or a link another name",
        lambda hub, words: hub.call("GET", words[0], "rename", words[1]),
    ),
    "merge": Action(
        "NAME REPO/FLIST", "merge flists into one; of each path, the first wins", merge,
        is_open=True,
    ),
    "readlink": Action("REPO/NAME", "print where a link leads", read_link),
    "taglink": Action(
        "REPO/NAME", "print where a link to a tag leads",
        lambda hub, words: hub.tag_link(*split(words[0])),
    ),
    "crosstag": Action(
        "NAME REPO TAG", "let NAME stand for another repository's tag",
        lambda hub, words: hub.call("GET", words[0], "crosstag", words[1], words[2]),
    ),
    "tag": Action(
        "TAG NAME REPO FLIST", "put a link to a flist into a tag",
        lambda hub, words: hub.call("GET", words[0], words[1], "tag", words[2], words[3]),
    ),
    "untag": Action(
        "TAG NAME REPO FLIST", "remove a link from a tag",
        lambda hub, words: hub.call("DELETE", words[0], words[1], "tag", words[2], words[3]),
    ),
    "login": Action("", "check the token", check_token),
    "username": Action(
        "", "print in whose repository the token works", lambda hub, _: hub.username()
    ),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--hub", default=os.environ.get("ZFLIST_HUB", DEFAULT_HUB), metavar="URL",
        help=f"default: $ZFLIST_HUB, or {DEFAULT_HUB}",
    )  # fmt: skip
    parser.add_argument(
        "--token", type=parse_token, default=os.environ.get("ZFLIST_HUB_TOKEN", ""),
        help="default: $ZFLIST_HUB_TOKEN",
    )  # fmt: skip
    parser.add_argument(
        "--user", default=os.environ.get("ZFLIST_HUB_USER", ""), metavar="GROUP",
        help="default: $ZFLIST_HUB_USER",
    )  # fmt: skip
    rows = "".join(f"  {name} {action.words}\n      {action.summary}\n"
                   for name, action in ACTIONS.items())  # fmt: skip
    parser.epilog = f"actions:\n{rows}"
    parser.add_argument("action", choices=ACTIONS, metavar="ACTION")
    parser.add_argument("words", nargs="*", metavar="ARGUMENT")


def run(options: argparse.Namespace) -> int:
    """Do one action."""
    action = ACTIONS[options.action]
    wanted = len(action.words.split())
    given = len(options.words)
    if given < wanted or (given > wanted and not action.is_open):
        more = " ..." if action.is_open else ""
        raise UsageError(
            f"cannot run {options.action} with {given} arguments",
            hint=f"{options.action} {action.words}{more}".rstrip(),
        )
    if not re.fullmatch(USER, options.user):
        raise UsageError(f"cannot use {options.user!r} as --user", hint="the name of a group")
    hub = open_zerohub(options.hub, options.token, options.user)
    try:
        said = action.call(hub, options.words)
    finally:
        hub.close()
    if isinstance(said, str):
        sys.stdout.write(f"{said}\n")
    return 0
