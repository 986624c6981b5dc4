"""Convert a container image into a flist, without a container engine and without root.

The image comes from a registry, an OCI layout (--oci-layout), or an archive such as `docker save`
writes (--archive). Entrypoint, command, environment, user, working directory and ports are kept in
the flist's tag `image` (JSON) and in /.startup.toml.
"""

import argparse
import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from common.errors import UsageError
from flist.archive.errors import ArchiveError
from flist.archive.limits import Limits
from flist.commands.shared.options import read_password
from flist.commands.shared.progress import ByteProgress
from flist.commands.shared.targets import add_targets, read_targets
from flist.oci.convert import convert
from flist.oci.errors import ImageError
from flist.oci.image import Image
from flist.oci.platform import Platform, parse_platform
from flist.oci.source.auth import Credentials, check_server, read_credentials
from flist.oci.source.login import find_login
from flist.oci.source.reference import flist_name, parse_reference
from flist.values import parse_path, parse_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "-i", "--image", "--image-name", default="", metavar="NAME",
        help="[HOST[:PORT]/]PATH[:TAG][@DIGEST]; selects one of several in a layout or archive",
    )  # fmt: skip
    add_targets(parser)
    parser.add_argument(
        "-m", "--output", "--meta", type=parse_path, metavar="FILE",
        help="the flist to write (default: the image's name, with - for : and /, and .fl)",
    )  # fmt: skip
    parser.add_argument("--platform", metavar="OS/ARCH", help="default: this machine's")
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--oci-layout", type=parse_path, metavar="DIR", help="read an OCI image layout"
    )
    place.add_argument("--archive", type=parse_path, metavar="FILE", help="read a saved image")
    parser.add_argument("--insecure", action="store_true", help="use plain HTTP to the registry")
    parser.add_argument(
        "--max-size", type=parse_size, default=Limits().size_bytes, metavar="BYTES",
        help="refuse an image that unpacks to more (default 64G)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    add_login(parser)


def add_login(parser: argparse.ArgumentParser) -> None:
    """Add upstream's options for private registries."""
    login = parser.add_argument_group("credentials, for the image's registry only")
    login.add_argument("--username", default="")
    login.add_argument(
        "--password", default="", help="- stands for $RFS_PASSWORD, which other users can't see"
    )
    login.add_argument("--auth", default="", help="base64 of USER:PASSWORD")
    login.add_argument("--email", default="", help="accepted but ignored: no registry needs it")
    login.add_argument(
        "--server-address", default="", help="the server that the credentials are for"
    )
    login.add_argument("--identity-token", default="", help="exchanged for an access token")
    login.add_argument("--registry-token", default="", help="sent as it is")
    login.add_argument(
        "--no-docker-config", action="store_true",
        help="do not read ~/.docker/config.json ($DOCKER_CONFIG) if none of these is given",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Convert."""
    routes = read_targets(options)
    platform = parse_platform(options.platform) if options.platform else None
    limits = Limits(size_bytes=options.max_size)
    try:
        with open_image(options, platform) as image, ByteProgress("converting") as progress:
            name = options.image or str((options.oci_layout or options.archive).name)
            done = convert(
                image, name, output_path(options), routes, limits=limits, progress=progress.update,
                keep_passwords=options.no_strip_password,
            )  # fmt: skip
    except ArchiveError as error:
        if place := options.oci_layout or options.archive:
            error.add_note(f"in {place}")
        raise
    except OSError as error:  # from a temporary file: no space, or no folder
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        raise ImageError(
            f"cannot convert the image: {where}{error.strerror}",
            hint="TMPDIR names another folder" if error.errno == errno.ENOSPC else None,
        ) from error
    if options.json:
        sys.stdout.write(json.dumps(done._asdict()) + "\n")
    else:
        sys.stderr.write(
            f"converted {done.layers} layers of {done.digest} ({done.platform}): {done.inodes}"
            f" entries, {done.size_bytes} bytes, {done.distinct} blocks\n"
        )
    return 0


def output_path(options: argparse.Namespace) -> Path:
    """Return the path of the flist to write."""
    if options.output:
        return Path(options.output)
    if options.image:
        return Path(flist_name(options.image))
    place: Path = options.oci_layout or options.archive
    stem = place.absolute().name
    for ending in (".gz", ".zst", ".tar", ".tgz"):
        stem = stem.removesuffix(ending)
    return Path(f"{stem}.fl")


@contextlib.contextmanager
def open_image(options: argparse.Namespace, platform: Platform | None) -> Iterator[Image]:
    """Yield the image that the options name."""
    if options.oci_layout:
        from flist.oci.source.files import Folder
        from flist.oci.source.local import find_local

        yield find_local(Folder(options.oci_layout), options.image, platform)
    elif options.archive:
        from flist.oci.source.archive import Archive
        from flist.oci.source.local import find_local

        with Archive.open_file(options.archive, options.max_size) as archive:
            yield find_local(archive, options.image, platform)
    else:
        yield from open_remote(options, platform)


def open_remote(options: argparse.Namespace, platform: Platform | None) -> Iterator[Image]:
    """Yield an image in a registry."""
    from flist.oci.source.registry import Registry
    from flist.oci.source.session import Session

    if not options.image:
        raise UsageError("no image is named", hint="-i NAME, or --oci-layout, or --archive")
    reference = parse_reference(options.image)
    credentials = read_credentials(
        username=options.username, password=read_password(options.password), auth=options.auth,
        identity_token=options.identity_token, registry_token=options.registry_token,
    )  # fmt: skip
    check_server(reference, options.server_address)
    if credentials == Credentials() and not options.no_docker_config:
        credentials = find_login(reference)
    session = Session(reference, credentials, is_insecure=options.insecure)
    with contextlib.closing(session):
        yield Registry(session).find(platform)
