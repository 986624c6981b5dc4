"""`zos hub repository`: whose repositories are, who may read them, whose signatures they demand."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import UsageError
from flist.hub.accounts.administration import CONSOLE
from flist.hub.commands import console
from flist.hub.library.hub import Hub

NAME, HELP = "repository", "make, list and change repositories"
run = console.run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = console.add_actions(parser)
    listing = console.add_action(actions, "list", "list all repositories", show)
    listing.add_argument("--json", action="store_true", help="print JSON")
    make = console.add_action(actions, "create", "make a repository", create)
    hide = console.add_action(actions, "private", "let only its owners read it", set_private)
    open_ = console.add_action(actions, "public", "let everybody read it", set_public)
    give = console.add_action(actions, "owner", "give it to another user or group", set_owner)
    sign = console.add_action(actions, "signers", "demand signatures of its flists", set_signers)
    keep = console.add_action(actions, "keep", "how many versions are kept", set_keep)
    official = console.add_action(actions, "official", "mark it as official", set_official)
    for action in (make, hide, open_, give, sign, keep, official):
        action.add_argument("name", metavar="NAME")
    make.add_argument("--owner", required=True, metavar="ACCOUNT", help="a user or a group")
    make.add_argument("--private", action="store_true", help="let only its owners read it")
    give.add_argument("owner", metavar="ACCOUNT")
    sign.add_argument("file", metavar="FILE", help="public keys, one per line, or none")
    sign.add_argument(
        "--threshold", type=int, default=1, metavar="N", help="so many of them must sign (1)"
    )
    keep.add_argument("versions", metavar="N", help="earlier versions of each flist, or default")
    official.add_argument("--off", action="store_true", help="not any more")


def show(hub: Hub, options: Mapping[str, Any]) -> None:
    """Print all repositories."""
    rows = [
        {
            "name": found.name,
            "owner": found.owner,
            "access": "private" if found.is_private else "public",
            "official": "official" if found.is_official else None,
            "signatures": f"{found.threshold} of {len(found.signers)}" if found.signers else None,
            "keep_versions": found.keep_versions,
            "updated": console.show_time(found.updated_s),
        }
        for found in hub.repositories.list(CONSOLE)
    ]
    console.show(rows, is_json=options["json"])


def create(hub: Hub, options: Mapping[str, Any]) -> None:
    """Make a repository."""
    hub.repositories.create(
        CONSOLE, options["name"], owner=options["owner"], is_private=options["private"]
    )


def set_private(hub: Hub, options: Mapping[str, Any]) -> None:
    """Let only its owners read a repository."""
    hub.repositories.change(CONSOLE, options["name"], is_private=True)


def set_public(hub: Hub, options: Mapping[str, Any]) -> None:
    """Let everybody read a repository."""
    hub.repositories.change(CONSOLE, options["name"], is_private=False)


def set_owner(hub: Hub, options: Mapping[str, Any]) -> None:
    """Give a repository to another account."""
    hub.repositories.change(CONSOLE, options["name"], owner=options["owner"])


def set_signers(hub: Hub, options: Mapping[str, Any]) -> None:
    """Demand signatures by some of these keys, or none."""
    word, threshold = options["file"], options["threshold"]
    keys = [] if word == "none" else console.read_keys(Path(word))
    if keys and not 1 <= threshold <= len(keys):
        raise UsageError(f"cannot demand {threshold} signatures of {len(keys)} keys")
    hub.repositories.change(
        CONSOLE, options["name"], signers=keys, threshold=threshold if keys else 0
    )


def set_keep(hub: Hub, options: Mapping[str, Any]) -> None:
    """Say how many versions are kept of each flist."""
    word = options["versions"]
    if word != "default" and not (word.isascii() and word.isdigit() and len(word) < 7):
        raise UsageError(f"cannot keep {word!r} versions", hint="a number, or default")
    count = None if word == "default" else int(word)
    hub.repositories.change(CONSOLE, options["name"], keep_versions=count)


def set_official(hub: Hub, options: Mapping[str, Any]) -> None:
    """Mark a repository as official, or not any more."""
    hub.repositories.change(CONSOLE, options["name"], is_official=not options["off"])
