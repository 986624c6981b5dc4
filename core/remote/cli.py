"""The command line of `zos node` on every machine but a node."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.errors import UsageError
from core.certificates.issue import DAYS, DAYS_MAX
from core.certificates.names import ROLES, Holder
from core.remote import show
from core.remote.client import NodeClient
from core.remote.commands import COMMANDS
from core.remote.discover import DISCOVER_S, discover
from core.remote.find import find_node
from core.remote.keys import make_certificate, make_key
from core.remote.known import Known, config_folder, join_address

CERTIFICATE = "ZOS_NODE_CERTIFICATE"
DESCRIPTION = "calls a node's API; on a node itself, `zos node network|bringup` are its services"
NODE_HELP = "NODEID, NODEID@ADDRESS or ADDRESS of the node"


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command."""
    options = vars(make_parser(prog).parse_args(argv))
    name = options.pop("command")
    if name == "key":
        return make_key(options["file"])
    if name == "certificate":
        holder = Holder(options["farm"], ROLES[options["role"]], options["name"])
        return make_certificate(options["farm_key"], holder, options["days"], options["output"])
    if name == "ls":
        return list_nodes(options["wait"], is_json=options["json"])
    return call_node(name, options)


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION)
    # As in `zos node -n ADDRESS status`; after the command it is understood, too.
    add_node_options(parser, default=None)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.help, description=command.help)
        add_node_options(sub, default=argparse.SUPPRESS)
        for argument in command.arguments:
            ARGUMENTS[argument](sub)
    add_ls(commands)
    add_key(commands)
    add_certificate(commands)
    return parser


def add_node_options(parser: argparse.ArgumentParser, default: Any) -> None:
    """Add the options that say which node, and as whom."""
    unset: Any = False if default is None else default
    parser.add_argument("-n", "--node", metavar="NODE", default=default, help=NODE_HELP)
    parser.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE",
        default=default,
        dest="own",
        help=f"certificate and key of the caller ({CERTIFICATE}, or node.pem in the settings)",
    )
    parser.add_argument(
        "--trust-first",
        action="store_true",
        default=unset,
        help="believe and remember which node is at an address that was not called before",
    )
    parser.add_argument("--json", action="store_true", default=unset, help="print JSON")


def add_log(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `logs`."""
    parser.add_argument("name", nargs="?", metavar="SERVICE", help="a service; else all")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines")
    parser.add_argument("--lines", type=int, default=100, metavar="N", help="of the last lines")


ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], object]] = {
    "log": add_log,
    "name": lambda parser: parser.add_argument("name", metavar="SERVICE", help="the service"),
    "release": lambda parser: parser.add_argument(
        "release", nargs="?", metavar="RELEASE", help="its version; without it, print what there is"
    ),
    "file": lambda parser: parser.add_argument("file", type=Path, metavar="FILE", help="a .tar.gz"),
    "kexec": lambda parser: parser.add_argument(
        "--kexec", action="store_true", help="start the channel's kernel without the firmware"
    ),
}


def add_ls(commands: Any) -> None:
    """Add the command `ls`."""
    parser = commands.add_parser("ls", help="list the nodes that answer on the local network")
    parser.add_argument("--wait", type=float, default=DISCOVER_S, metavar="S", help="seconds")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")


def add_key(commands: Any) -> None:
    """Add the command `key`."""
    parser = commands.add_parser("key", help="make a farm's key, or print its public part")
    parser.add_argument("file", type=Path, metavar="FILE", help="the private key in PEM")


def add_certificate(commands: Any) -> None:
    """Add the command `certificate`."""
    parser = commands.add_parser("certificate", help="make a certificate for a caller")
    parser.add_argument("--farm-key", type=Path, required=True, metavar="FILE", help="in PEM")
    parser.add_argument("--farm", type=int, required=True, metavar="N", help="its number")
    parser.add_argument("--role", choices=list(ROLES), required=True, help="what it may do")
    parser.add_argument("--name", required=True, metavar="NAME", help="whose it is")
    parser.add_argument(
        "--days", type=int, default=DAYS, metavar="D", help=f"1 to {DAYS_MAX}, {DAYS} by default"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", default=config_folder() / "node.pem"
    )


def call_node(name: str, options: dict[str, Any]) -> int:
    """Call a node."""
    if not options["node"]:
        raise UsageError(f"which node? {NODE_HELP}", hint="-n NODE; `zos node ls` lists some")
    own = options["own"] or Path(os.environ.get(CERTIFICATE) or config_folder() / "node.pem")
    known = Known()
    target = find_node(options["node"], known, trust_first=options["trust_first"])
    command = COMMANDS[name]
    answer = command.run(NodeClient(target, own), options)
    known.remember(target.address, target.node)
    if answer is None:
        return 0
    if options["json"]:
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    elif command.show:
        command.show(answer)
    return 0


def list_nodes(wait_s: float, *, is_json: bool) -> int:
    """Print the nodes that announce themselves."""
    found = discover(wait_s)
    rows = [
        {
            "node": one.record.node,
            "farm": one.record.farm,
            "version": one.record.version,
            "addresses": [join_address(address, one.record.port) for address in one.addresses],
        }
        for one in found
    ]
    if is_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        names = ("node", "farm", "version", "addresses")
        show.table(names, ([row[name] for name in names] for row in rows))
    return 0
