"""`zos bootstrap nodes`: the table of provisioning, from the server's own machine."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap_server.commands.shared import add_state_flags, load_state_settings, talk
from bootstrap_server.errors import InputError
from common.files import read_regular

if TYPE_CHECKING:
    from bootstrap_server.commands.shared import Verbs
    from bootstrap_server.nodes.table import NodeTable
    from bootstrap_server.options.model import Options

WHO = "zos bootstrap nodes"


def add_parser(verbs: "Verbs") -> None:
    """Add the verb with its own verbs."""
    parser = verbs.add_parser("nodes", help="list, import and export the nodes of provisioning")
    actions = parser.add_subparsers(required=True, dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="list all nodes, those that wait first")
    listing.set_defaults(run=list_nodes)
    importing = actions.add_parser("import", help="put all nodes of a CSV file in, or none")
    importing.add_argument("file", type=Path, metavar="FILE", help="CSV; its first line has names")
    importing.set_defaults(run=import_nodes)
    export = actions.add_parser("export", help="print the nodes that have options as CSV")
    export.set_defaults(run=export_nodes)
    for action in (listing, importing, export):
        add_state_flags(action)


def list_nodes(args: argparse.Namespace, _prog: str) -> int:
    """Print one line per node."""
    for node in open_table(args).list_all():
        state = node.options.path if node.options else "waits"
        print(f"{node.identity}: {f'cannot be read: {node.fault}' if node.fault else state}")
    return 0


def import_nodes(args: argparse.Namespace, _prog: str) -> int:
    """Import a file."""
    from bootstrap_server.nodes.sheet import import_sheet

    settings = load_state_settings(args)

    def check(options: "Options") -> None:
        options.check_allowed(settings.allow_parameter, settings.mirror)

    try:
        new, changed = import_sheet(open_table(args), read_regular(args.file), check, WHO)
    except InputError as error:
        raise InputError(
            "file", f"cannot use {args.file}: {error.message}", hint=error.hint
        ) from error
    talk(f"{new} nodes are new, {changed} were there already")
    return 0


def export_nodes(args: argparse.Namespace, _prog: str) -> int:
    """Print the table."""
    from bootstrap_server.nodes.sheet import render_sheet

    nodes = open_table(args).list_all()
    for node in nodes:
        if node.fault:
            talk(f"left out: {node.trouble}")
    sys.stdout.write(render_sheet(nodes))
    return 0


def open_table(args: argparse.Namespace) -> "NodeTable":
    """Return the table in the server's state."""
    from bootstrap_server.nodes.table import NodeTable
    from bootstrap_server.state.opening import open_lasting

    settings = load_state_settings(args)
    return NodeTable(open_lasting(settings.state, settings.database))
