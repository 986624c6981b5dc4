"""The options that say where blocks go."""

import argparse

from common.errors import UsageError
from flist.http.urls import hide_secrets
from flist.model import Route
from flist.store.base import open_store
from flist.store.routed import parse_route
from flist.values import check_text


def add_targets(parser: argparse.ArgumentParser, *names: str, is_required: bool = True) -> None:
    """Add -s/--store, upstream's other `names` for it, and --no-strip-password."""
    parser.add_argument(
        "-s", "--store", *names, dest="targets", action="append", required=is_required,
        type=check_text, metavar="[hh-hh=]URL",
        help="where blocks go; with a range only those whose id starts in it; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--no-strip-password", action="store_true", help="keep passwords in the flist's routes"
    )


def read_targets(options: argparse.Namespace) -> list[Route]:
    """Return the routes that the options of `add_targets` name.

    Raises `UsageError` for a store that can only be read.
    """
    routes = [parse_route(text) for text in options.targets or ()]
    for route in routes:
        if route.url.startswith(("http://", "https://")):
            open_store(route.url).close()  # reports an invalid URL first
            raise UsageError(
                f"cannot write to {hide_secrets(route.url)}: an http store can only be read",
                hint="server://http://HOST:PORT?token=T for a hub that accepts blocks",
            )
    return routes
