"""Options that several commands share, with upstream's short names."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from common.errors import UsageError
from flist.store.defaults import DEFAULT_LIMIT_BYTES, DEFAULT_WAIT_S
from flist.values import parse_path, parse_processes, parse_seconds, parse_size

if TYPE_CHECKING:
    from flist.format.sqlitefile import Check
    from flist.store.sources import Sources

SHARED_CACHE = Path("/tmp/cache")  # noqa: S108 upstream's default; created with mode 0700


def default_cache() -> Path:
    """Return upstream's folder for cached blocks, or if that is another user's, one beside it."""
    try:
        is_ours = SHARED_CACHE.lstat().st_uid == os.geteuid()
    except OSError:
        is_ours = True  # nobody's yet
    return SHARED_CACHE if is_ours else Path(f"{SHARED_CACHE}-{os.geteuid()}")


def add_meta(parser: argparse.ArgumentParser, what: str = "the flist") -> None:
    """Add -m/--meta."""
    parser.add_argument("-m", "--meta", type=parse_path, required=True, metavar="FILE", help=what)


def parse_meta(text: str) -> Path | str:
    """Return the path of a flist, or its address as text."""
    return text if text.startswith(("http://", "https://")) else parse_path(text)


def add_processes(parser: argparse.ArgumentParser) -> None:
    """Add --processes."""
    parser.add_argument(
        "--processes", type=parse_processes, default=0, help="default: one per processor"
    )


def add_key_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that demand a signature."""
    parser.add_argument(
        "--key", type=parse_path, metavar="FILE",
        help="demand a signature by one of these public keys",
    )  # fmt: skip
    parser.add_argument("--name", help="demand this signed name, such as tf-zos/production")
    parser.add_argument(
        "--signature", type=parse_path, metavar="FILE",
        help="the signature (default: inside the flist, or META.sig)",
    )  # fmt: skip


def add_sources(
    parser: argparse.ArgumentParser,
    *,
    has_cache: bool = True,
    store_option: str = "--store",
) -> None:
    """Add the options that say where blocks come from.

    Commands whose --store says where blocks go pass another `store_option`.
    """
    cache = default_cache() if has_cache else None
    parser.add_argument(
        "-c", "--cache", type=parse_path, default=cache, metavar="DIR",
        help=f"folder of cached blocks (default {cache or 'none'})",
    )  # fmt: skip
    parser.add_argument(
        "--cache-size", type=parse_size, default=DEFAULT_LIMIT_BYTES, metavar="BYTES",
        help="limit of the cache, such as 500M (default 4G)",
    )  # fmt: skip
    parser.add_argument(
        "--check-cache", action="store_true",
        help="check the hash of each cached block that is read: others may write to the cache",
    )  # fmt: skip
    parser.add_argument(
        store_option, dest="stores", action="append", default=[], metavar="[hh-hh=]URL",
        help="take blocks from here instead of the routes inside the flist",
    )  # fmt: skip
    parser.add_argument(
        "--wait", type=parse_seconds, default=DEFAULT_WAIT_S, metavar="SECONDS",
        help="how long a read waits for a store that is down (default 60)",
    )  # fmt: skip
    parser.add_argument(
        "--in-order", action="store_true",
        help="prefer the stores in the order they are named; else mirrors share the reads",
    )  # fmt: skip
    parser.add_argument("--offline", action="store_true", help="use the cache only")


def read_sources(options: argparse.Namespace) -> "Sources":
    """Return the sources that the options of `add_sources` name."""
    from flist.store.sources import Sources

    return Sources(
        options.stores, options.cache, options.cache_size, options.wait, options.offline,
        options.debug, options.in_order, options.check_cache,
    )  # fmt: skip


def read_password(word: str) -> str:
    """Return the password of a command line; `-` stands for $RFS_PASSWORD, which other users of the
    machine can't see."""
    return os.environ.get("RFS_PASSWORD", "") if word == "-" else word


def signature_check(options: argparse.Namespace) -> "Check | None":
    """Return what demands a flist's signature, for `open_flist`, or None if no key was named.

    Another flist than the one in the options is a version that `remount` shows later: its signature
    is inside or beside it, under the same name. Raises `UsageError` if a name or a signature but no
    key was given.
    """
    if options.key is None:
        if options.name is not None or options.signature is not None:
            raise UsageError(
                "cannot check a signature: no key is named", hint="--key FILE, of public keys"
            )
        return None

    def check(path: Path, stream: BinaryIO) -> None:
        from flist.format.signing.trust import demand_signature

        place = options.signature if path == options.meta else None
        # A later version has to be signed under the same name, so keep it.
        options.name = demand_signature(path, options.key, options.name, place, stream)

    return check
