"""`zos hub user`: the users of a hub."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import UsageError
from flist.hub.accounts.accounts import USER, Account
from flist.hub.accounts.administration import CONSOLE
from flist.hub.commands import console
from flist.hub.library.hub import Hub
from flist.values import parse_path, parse_size

NAME, HELP = "user", "make, list, change and remove users"
run = console.run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = console.add_actions(parser)
    add = console.add_action(actions, "add", "make a user; the password is read from stdin", create)
    add.add_argument("--admin", action="store_true", help="who may administer the hub")
    add.add_argument("--no-password", action="store_true", help="for a key, or for tokens, alone")
    add.add_argument("--key", type=parse_path, metavar="FILE", help="a public key of `keygen`")
    listing = console.add_action(actions, "list", "list all users", list_users)
    listing.add_argument("--json", action="store_true", help="print JSON")
    named = [add, console.add_action(actions, "password", "read a new password", set_password)]
    key = console.add_action(actions, "key", "let a user sign in with a key", set_key)
    subject = console.add_action(actions, "link", "let a subject of OpenID Connect in", set_subject)
    quota = console.add_action(actions, "quota", "limit what a user keeps", set_quota)
    admin = console.add_action(actions, "admin", "let a user administer the hub", set_admin)
    named += [key, subject, quota, admin]
    named.append(console.add_action(actions, "disable", "refuse a user and its tokens", disable))
    named.append(console.add_action(actions, "enable", "let a disabled user in again", enable))
    named.append(console.add_action(actions, "remove", "remove a user with its tokens", remove))
    for action in named:
        action.add_argument("name", metavar="NAME")
    key.add_argument("file", metavar="FILE", help="a public key of `zos flist keygen`, or none")
    subject.add_argument("subject", metavar="SUBJECT", help="'ISSUER SUBJECT', or none")
    quota.add_argument("size", metavar="SIZE", help="such as 20G, or default")
    admin.add_argument("--off", action="store_true", help="not any more")


def create(hub: Hub, options: Mapping[str, Any]) -> None:
    """Make a user."""
    password = None if options["no_password"] else console.read_password()
    key = read_key(options["key"]) if options["key"] else None
    hub.administration.create(
        CONSOLE, options["name"], kind=USER, password=password, public_key=key,
        is_admin=options["admin"],
    )  # fmt: skip


def read_key(path: Path) -> str:
    """Return the public key in a file, in hex. Raises `UsageError`."""
    keys = console.read_keys(path)
    if len(keys) != 1:
        raise UsageError(f"cannot read the key {path}: there are several in it")
    return keys[0]


def list_users(hub: Hub, options: Mapping[str, Any]) -> None:
    """Print all users."""
    users = [account for account in hub.administration.list(CONSOLE) if account.kind == USER]
    rows = [describe(user, list(hub.accounts.groups(user).values())) for user in users]
    console.show(rows, is_json=options["json"])


def describe(user: Account, groups: list[str]) -> dict[str, Any]:
    """Return what is shown of a user."""
    ways = {"password": user.has_password, "key": user.public_key, "oidc": user.subject}
    return {
        "name": user.name,
        "state": "disabled" if user.is_disabled else "admin" if user.is_admin else "user",
        "created": console.show_time(user.created_s),
        "signs_in_by": [way for way, value in ways.items() if value],
        "groups": sorted(groups),
        "quota_bytes": user.quota_bytes,
    }


def change(hub: Hub, options: Mapping[str, Any], **what: object) -> None:
    """Change the user that the options name."""
    hub.administration.change(CONSOLE, options["name"], what)


def set_password(hub: Hub, options: Mapping[str, Any]) -> None:
    """Give a user another password."""
    change(hub, options, password=console.read_password())


def set_key(hub: Hub, options: Mapping[str, Any]) -> None:
    """Give a user another key, or none."""
    word = options["file"]
    change(hub, options, public_key=None if word == "none" else read_key(Path(word)))


def set_subject(hub: Hub, options: Mapping[str, Any]) -> None:
    """Let a subject of a provider sign in as a user, or nobody."""
    word = options["subject"]
    change(hub, options, subject=None if word == "none" else word)


def set_quota(hub: Hub, options: Mapping[str, Any]) -> None:
    """Limit what a user keeps on the hub."""
    word = options["size"]
    try:
        size = None if word == "default" else parse_size(word)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"cannot set the quota: {error}") from error
    change(hub, options, quota_bytes=size)


def set_admin(hub: Hub, options: Mapping[str, Any]) -> None:
    """Let a user administer the hub, or not any more."""
    change(hub, options, is_admin=not options["off"])


def disable(hub: Hub, options: Mapping[str, Any]) -> None:
    """Refuse a user."""
    change(hub, options, is_disabled=True)


def enable(hub: Hub, options: Mapping[str, Any]) -> None:
    """Let a user in again."""
    change(hub, options, is_disabled=False)


def remove(hub: Hub, options: Mapping[str, Any]) -> None:
    """Remove a user."""
    hub.administration.delete(CONSOLE, options["name"])
