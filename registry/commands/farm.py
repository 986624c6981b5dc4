"""`zos registry farm`: registers a farm at a registry, changes it, or gives it to another owner.

It talks to a registry over HTTP; the farm's key never leaves this machine.
"""

import argparse
import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import urllib3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from common.errors import UsageError, ZosError
from common.files import open_atomic, read_regular
from common.nodes.envelope import Envelope, open_envelope, seal
from common.text import printable
from registry.farms.model import parse_farm
from registry.names import parse_key, show_key
from registry.state.key import KEY_MODE, read_key

NAME, HELP = "farm", "make a farm's key; register, change, show a farm, or give it away"
ANSWER_S = 30.0
TOKEN = "ZOS_REGISTRY_TOKEN"  # noqa: S105 - the variable's name
NUMBERS = ("latitude", "longitude")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(required=True, dest="action", metavar="ACTION")
    key = actions.add_parser("key", help="make a farm's key, or print the public one of a key")
    key.add_argument("key", type=Path, metavar="FILE", help="private key in PEM")
    show = actions.add_parser("show", help="print a farm as JSON")
    add_place(show, is_number_needed=True)
    register = actions.add_parser("register", help=f"register a farm ({TOKEN} may have a token)")
    add_place(register, is_number_needed=False)
    add_content(register, is_name_needed=True)
    change = actions.add_parser("change", help="change what everybody may know of a farm")
    add_place(change, is_number_needed=True)
    add_content(change, is_name_needed=False)
    give = actions.add_parser("give", help="make somebody else's key the owner's")
    add_place(give, is_number_needed=True)
    give.add_argument("--key", type=Path, required=True, metavar="FILE", help="the owner's key")
    give.add_argument("--to", required=True, metavar="KEY", help="the new owner's public key")


def add_place(parser: argparse.ArgumentParser, *, is_number_needed: bool) -> None:
    """Add the arguments that say where the farm is."""
    parser.add_argument("url", metavar="URL", help="the registry's")
    kwargs: dict[str, Any] = {"metavar": "N", "type": int}
    if is_number_needed:
        parser.add_argument("number", help="the farm's number", **kwargs)
    else:
        parser.add_argument("--number", help="the farm's number; else it gets one", **kwargs)


def add_content(parser: argparse.ArgumentParser, *, is_name_needed: bool) -> None:
    """Add what the owner signs."""
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="the owner's key")
    parser.add_argument("--name", required=is_name_needed, help="the farm's name")
    parser.add_argument(
        "--node-ca", type=Path, metavar="FILE", help="certificate of its nodes' API"
    )
    parser.add_argument(
        "--public",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="description, url, contact, country, city, latitude, longitude; can be repeated",
    )


def run_action(options: dict[str, Any]) -> int:
    """Do what is asked for."""
    action = options["action"]
    if action == "key":
        return make_key(options["key"])
    if action == "show":
        shown = fetch(options["url"], options["number"])
    elif action == "register":
        shown = send(options, {"farm": options["number"], "sequence": 1})
    else:
        shown = send(options, follow(options))
    sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    return 0


def make_key(path: Path) -> int:
    """Make a key if there is none, and print the public one."""
    if not path.exists():
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with open_atomic(path, KEY_MODE) as stream:
            stream.write(Ed25519PrivateKey.generate().private_bytes(*form))
    sys.stdout.write(f"{show_key(public_of(read_key(path)))}\n")
    return 0


def public_of(key: Ed25519PrivateKey) -> bytes:
    """Return the public key."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def follow(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the change that follows what is there. Raises `ZosError`.

    A registry is not believed: what is kept is what the owner's key signed last. Of a farm that
    somebody else has just given to this key, nothing is kept.
    """
    number, own = options["number"], public_of(read_key(options["key"]))
    last = find_signed(options["url"], number)
    message = parse_farm(last.payload)
    if message.owner != show_key(own):
        raise ZosError(f"farm {number} is another key's", hint="--key FILE is its owner's key")
    is_first = message.sequence == 1 and message.farm is None
    if message.farm != number and not is_first:
        raise bad_answer(options["url"], number)
    fields = {"farm": number, "sequence": message.sequence + 1}
    if last.key == own:
        public = message.public.model_dump(exclude_defaults=True)
        return {"name": message.name, "node_ca": message.node_ca, "public": public, **fields}
    if not options.get("name"):
        raise ZosError(
            f"farm {number} has nothing yet that this key has signed",
            hint="`zos registry farm change` with --name, --node-ca and --public, all of it anew",
        )
    return fields


def find_signed(url: str, number: int) -> Envelope:
    """Return the last message of a farm that the log has. Raises `ZosError`."""
    try:
        position = int(fetch(url, number)["position"])
        page = ask(url, "GET", f"/api/v1/log/entries?start={position}&count=1")
        leaf = json.loads(base64.b64decode(page["entries"][0]["leaf"]))
        return open_envelope(json.dumps(leaf["message"]).encode(), "farm")
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise bad_answer(url, number) from error


def bad_answer(url: str, number: int) -> ZosError:
    """Return the error for an answer that cannot be used."""
    return ZosError(
        f"cannot use what the registry {url} says of farm {number}: its owner has not signed it",
        hint="is the URL right?",
    )


def send(options: dict[str, Any], fields: dict[str, Any]) -> Any:
    """Sign a farm's new state, and send it."""
    key = read_key(options["key"])
    payload = {**fields, "owner": show_key(public_of(key))}
    if options.get("name"):
        payload["name"] = options["name"]
    if options.get("node_ca"):
        payload["node_ca"] = read_regular(options["node_ca"]).decode("ascii", errors="replace")
    if options.get("to"):
        payload["owner"] = show_key(parse_key(options["to"], "the new owner's key"))
    payload["public"] = {**payload.get("public", {}), **parse_public(options.get("public") or [])}
    parse_farm(payload)
    return ask(
        options["url"], "POST", "/api/v1/farms", seal(key.sign, public_of(key), "farm", payload)
    )


def parse_public(words: list[str]) -> dict[str, Any]:
    """Return what NAME=VALUE say. Raises `UsageError`."""
    found: dict[str, Any] = {}
    for word in words:
        name, is_there, value = word.partition("=")
        if not is_there:
            raise UsageError(f"cannot use {word!r}", hint="--public NAME=VALUE")
        try:
            found[name] = float(value) if name in NUMBERS else value
        except ValueError:
            raise UsageError(f"cannot use {word!r}: {name} is a number") from None
    return found


def fetch(url: str, number: int) -> Any:
    """Return a farm."""
    return ask(url, "GET", f"/api/v1/farms/{number}")


def ask(url: str, method: str, path: str, body: bytes | None = None) -> Any:
    """Return the JSON that a registry answers. Raises `ZosError`."""
    headers = {"Content-Type": "application/json"} if body else {}
    if os.environ.get(TOKEN):
        headers["Authorization"] = f"Bearer {os.environ[TOKEN]}"
    try:
        with urllib3.PoolManager(retries=False, timeout=ANSWER_S) as pool:
            answer = pool.request(method, url.rstrip("/") + path, body=body, headers=headers)
            said = answer.json()
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise ZosError(
            f"cannot ask the registry {url}: {error}", hint="is the URL right, and does it run?"
        ) from error
    if answer.status >= 400:
        problem = said if isinstance(said, dict) else {}
        reason = printable(str(problem.get("detail", answer.status)))
        raise ZosError(f"the registry refuses: {reason}", hint=problem.get("hint"))
    return said
