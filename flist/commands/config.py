"""Show or change a flist's tags and stores.

config -m FLIST tag list | tag add -t KEY=VALUE | tag delete -k KEY | tag delete -a
config -m FLIST store list | store add -s [hh-hh=]URL | store delete -s URL | store delete -a

Under the name `rfs`, lists look as upstream's, and deleting a tag that is not there is no error.
"""

import argparse
import sys

from common.errors import UsageError
from common.text import printable
from flist.commands.shared.options import add_meta
from flist.format import edit
from flist.format.opening import open_flist
from flist.http.urls import strip_passwords
from flist.store.base import check_scheme
from flist.store.routed import parse_route
from flist.values import check_text, parse_tag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="tag|store")
    tag = kinds.add_parser("tag").add_subparsers(dest="action", required=True)
    tag.add_parser("list")
    tag.add_parser("add").add_argument(
        "-t", "--tag", dest="tags", action="append", required=True, type=parse_tag,
        metavar="KEY=VALUE",
    )  # fmt: skip
    delete = tag.add_parser("delete")
    delete.add_argument("-k", "--key", dest="values", action="append")
    delete.add_argument("-a", "--all", action="store_true")
    store = kinds.add_parser("store").add_subparsers(dest="action", required=True)
    store.add_parser("list")
    add = store.add_parser("add")
    add.add_argument("-s", "--store", action="append", required=True, type=check_text)
    add.add_argument("--no-strip-password", action="store_true")
    delete = store.add_parser("delete")
    delete.add_argument("-s", "--store", dest="values", action="append")
    delete.add_argument("-a", "--all", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Run one action."""
    ACTIONS[options.kind, options.action](options)
    return 0


def list_tags(options: argparse.Namespace) -> None:
    """Print every tag as key=value."""
    with open_flist(options.meta) as flist:
        write_list("tags", [f"{key}={value}" for key, value in flist.tags().items()], options)


def write_list(title: str, rows: list[str], options: argparse.Namespace) -> None:
    """Print one row per line; as upstream does, under a title and indented."""
    if options.is_upstream and rows:
        sys.stdout.write(f"{title}:\n")
    indent = "\t" if options.is_upstream else ""
    sys.stdout.write("".join(f"{indent}{printable(row)}\n" for row in rows))


def add_tags(options: argparse.Namespace) -> None:
    """Set tags."""
    edit.set_tags(options.meta, dict(options.tags))


def delete_tags(options: argparse.Namespace) -> None:
    """Delete tags."""
    keys = chosen(options)
    if options.is_upstream and keys is not None:
        with open_flist(options.meta) as flist:
            keys = [key for key in dict.fromkeys(keys) if key in flist.tags()]
    edit.delete_tags(options.meta, keys)


def list_stores(options: argparse.Namespace) -> None:
    """Print every route as hh-hh=url, or as upstream does."""
    with open_flist(options.meta) as flist:
        routes = flist.routes()
    rows = [f"{start:02x}-{end:02x}={url}" for start, end, url in routes]
    if options.is_upstream:
        rows = [f"range:[{start}-{end}] store:{url}" for start, end, url in routes]
    write_list("routes", rows, options)


def add_stores(options: argparse.Namespace) -> None:
    """Add routes."""
    routes = [parse_route(text) for text in options.store]
    for route in routes:
        check_scheme(route.url)
    if not options.no_strip_password:
        routes = strip_passwords(routes)
    edit.add_routes(options.meta, routes)


def delete_stores(options: argparse.Namespace) -> None:
    """Delete routes by URL; a range before it is ignored."""
    values = chosen(options)
    urls = [parse_route(text).url for text in values] if values is not None else None
    edit.delete_routes(options.meta, urls)


def chosen(options: argparse.Namespace) -> list[str] | None:
    """Return the values to delete, or None for all of them."""
    if bool(options.values) == options.all:
        raise UsageError("name what to delete, or -a for all")
    return None if options.all else options.values


ACTIONS = {
    ("tag", "list"): list_tags,
    ("tag", "add"): add_tags,
    ("tag", "delete"): delete_tags,
    ("store", "list"): list_stores,
    ("store", "add"): add_stores,
    ("store", "delete"): delete_stores,
}
