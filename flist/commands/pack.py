"""Pack a directory or a tar archive into a flist: its metadata into one small file, its content
into stores.

An archive (.tar, or compressed by gzip, zstd, xz or bzip2) is read as a stream and never unpacked
onto the disk, so its names and links lead nowhere. If FILE ends in .flist, the flist of an archive
has the older format.
"""

import argparse
import json
import sys

from common.errors import UsageError
from common.files import open_regular
from flist.commands.shared.options import add_meta, add_processes
from flist.commands.shared.progress import ByteProgress, show_some
from flist.commands.shared.services import (
    add_strict,
    report_services,
    services_of_flist,
    services_of_folder,
)
from flist.commands.shared.targets import add_targets, read_targets
from flist.errors import FlistError
from flist.model import Route
from flist.pack.pack import pack
from flist.values import parse_path, parse_size, parse_tag

DEFAULT_SIZE_BYTES = 64 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser, "the flist to write")
    add_targets(parser)
    parser.add_argument(
        "--checksum",
        action="store_true",
        help="read every file, even if it seems unchanged, and replace damaged blocks",
    )
    parser.add_argument(
        "--tag", dest="tags", action="append", default=[], type=parse_tag, metavar="KEY=VALUE"
    )
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN",
        help="leave out what has this name, or with a slash this path below DIR (*, ?, [])",
    )  # fmt: skip
    parser.add_argument(
        "--one-file-system", action="store_true",
        help="leave out what is in directories on other file systems",
    )  # fmt: skip
    add_processes(parser)
    add_strict(parser)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.add_argument(
        "--max-size", type=parse_size, default=DEFAULT_SIZE_BYTES, metavar="BYTES",
        help="refuse an archive that unpacks to more (default 64G)",
    )  # fmt: skip
    parser.add_argument("target", type=parse_path, metavar="DIR|ARCHIVE")


def run(options: argparse.Namespace) -> int:
    """Pack."""
    routes = read_targets(options)
    if options.target.is_file():
        return run_archive(options, routes)
    services = services_of_folder(options.target)
    report_services(services, is_strict=options.strict, what=f"pack {options.target}")
    with ByteProgress("packing") as progress:
        done = pack(
            options.target, options.meta, routes, tags=dict(options.tags),
            processes=options.processes, keep_passwords=options.no_strip_password,
            progress=progress.update, is_checksum=options.checksum, exclude=options.exclude,
            is_one_file_system=options.one_file_system,
        )  # fmt: skip
    show_some("left out", done.left_out)
    if options.json:
        sys.stdout.write(json.dumps(done._asdict()) + "\n")
    else:
        sys.stderr.write(
            f"packed {done.inodes} entries, {done.size_bytes} bytes ({done.read_bytes} read),"
            f" {done.distinct} blocks\n"
        )
    return 0


def run_archive(options: argparse.Namespace, routes: list[Route]) -> int:
    """Pack a tar archive."""
    from flist.archive.limits import Limits
    from flist.archive.pack import pack_archive

    refuse_folder_options(options)
    limits = Limits(size_bytes=options.max_size)
    try:
        with open_regular(options.target) as stream, ByteProgress("packing") as progress:
            size = options.target.stat().st_size
            done = pack_archive(
                stream, options.meta, routes, tags=dict(options.tags), limits=limits,
                keep_passwords=options.no_strip_password, threads=options.processes,
                progress=lambda count: progress.update(count, size),
            )  # fmt: skip
    except FlistError as error:
        error.add_note(f"in {options.target}")
        raise
    except OSError as error:
        raise FlistError(f"cannot read {options.target}: {error.strerror}") from error
    report_services(services_of_flist(options.meta), is_strict=False, what="")
    counts = done.counts._asdict()
    if options.json:
        sys.stdout.write(json.dumps({**counts, "distinct": done.blocks}) + "\n")
    else:
        kinds = ("regular", "directory", "symlink", "special")
        entries = sum(counts[kind] for kind in kinds)
        sys.stderr.write(
            f"packed {entries} entries, {done.counts.fullsize} bytes, {done.blocks} blocks\n"
        )
    return 0


def refuse_folder_options(options: argparse.Namespace) -> None:
    """Raise `UsageError` for options that have no meaning for an archive."""
    given = {
        "--checksum": options.checksum,
        "--exclude": options.exclude,
        "--one-file-system": options.one_file_system,
        "--strict": options.strict,
    }
    for name, value in given.items():
        if value:
            hint = "`sign --strict` refuses mistakes in services" if name == "--strict" else None
            raise UsageError(f"cannot pack {options.target}: {name} is for directories", hint=hint)
