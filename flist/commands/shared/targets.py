"""The options of commands that write blocks."""

import argparse

from common.errors import UsageError
from flist.http.urls import hide_secrets
from flist.model import Route
from flist.store.base import open_store
from flist.store.routed import parse_route
from flist.values import check_text


def add_targets(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add -s/--store, as upstream has it (and its other `names`), and whether passwords stay."""
    parser.add_argument(
        "-s", "--store", *names, dest="targets", action="append", required=True,
        type=check_text, metavar="[hh-hh=]URL",
        help="where blocks go; with a range only those whose id starts in it; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--no-strip-password", action="store_true", help="keep passwords in the flist's routes"
    )


def read_targets(options: argparse.Namespace) -> list[Route]:
    """Return what `add_targets` parsed; raises `UsageError` for what nobody can write to."""
    routes = [parse_route(text) for text in options.targets]
    for route in routes:
        if route.url.startswith(("http://", "https://")):
            open_store(route.url).close()  # if it is no URL, that is what to say
            raise UsageError(
                f"cannot write to {hide_secrets(route.url)}: an http store can only be read",
                hint="server://http://HOST:PORT?token=T, if it is a hub that takes blocks",
            )
    return routes
