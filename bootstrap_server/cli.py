"""`zos bootstrap`: the server on one address, and the lock of its boot packages."""

import argparse
import sys
from collections.abc import Sequence

from bootstrap_server.errors import SettingsError
from bootstrap_server.settings import BootstrapSettings, Settings
from common.tuf.errors import MetadataError
from common.tuf.trust import Session, Trusted
from serving.listen import open_listener, own_url, parse_address
from serving.settings import add_flags, load_settings

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def main(argv: Sequence[str], prog: str) -> int:
    """Run a sub-command and return its exit status."""
    flags = vars(make_parser(prog).parse_args(argv))
    if flags.pop("command") == "lock":
        return lock(allow_expired=flags["allow_expired"])
    config = flags.pop("config")
    return serve(load_settings(BootstrapSettings, flags, config))


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of this verb's arguments."""
    parser = argparse.ArgumentParser(prog=prog, description="Serve boot images and releases.")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    command = commands.add_parser("serve", help="answer browsers and booting nodes over HTTP")
    add_flags(command, BootstrapSettings)
    command = commands.add_parser("lock", help="lock the newest iPXE, boot loader and tools")
    command.add_argument(
        "--allow-expired",
        action="store_true",
        help="accept package lists that are older than their signature allows",
    )
    return parser


def lock(*, allow_expired: bool) -> int:
    """Write the lock of the boot packages: the newest of each suite."""
    from bootstrap_server import inputs
    from common.debian.lock import render_lock
    from common.debian.resolve import resolve
    from common.files import write_atomic

    sections = ["# Written by `zos bootstrap lock`.\n"]
    for name, (suite, packages) in inputs.REQUESTS.items():
        found = resolve(packages, suite=suite, allow_expired=allow_expired, progress=talk)
        sections.append(render_lock(found, name))
    write_atomic(inputs.LOCK, "\n".join(sections).encode())
    return 0


def serve(settings: BootstrapSettings) -> int:
    """Build the template, then answer requests until a signal ends the server."""
    from bootstrap_server.app import create_app
    from serving.run import run

    for folder in (settings.releases, settings.store):
        if folder is not None and not folder.is_dir():
            raise SettingsError(f"cannot serve {folder}: it is not a folder")
    host, port = parse_address(settings.listen)
    if host in EVERY_ADDRESS and not settings.url:
        raise SettingsError(
            f"cannot tell nodes where this server is: {settings.listen} is every address",
            hint="--url http://HOST:PORT, as nodes reach it",
        )
    with open_listener(host, port) as listener:
        here = own_url(listener, is_tls=settings.tls_cert is not None)
        addresses = Settings(
            settings.url or here,
            settings.hub,
            settings.releases,
            parameters=tuple(settings.allow_parameter),
            store=settings.store,
            root=read_root(settings),
        )
        app = create_app(addresses, settings)
        talk("making the template image (the first time, this fetches Debian packages)")
        app.state.server.templates.get()
        ready = f"listening on {here}, known to nodes as {addresses.public_url}"
        run(app, listener, lambda: talk(ready))
    return 0


def read_root(settings: BootstrapSettings) -> bytes:
    """Return the metadata that is trusted to sign the channels of a store."""
    if settings.store is None:
        return b""
    if settings.store_root is None:
        raise SettingsError(
            "cannot trust a store without a root",
            hint="--store-root FILE, the root.json of `zos image keys init`",
        )
    try:
        root = settings.store_root.read_bytes()
        Session(Trusted(root), None)
    except OSError as error:
        raise SettingsError(f"cannot read {settings.store_root}: {error.strerror}") from error
    except MetadataError as error:
        raise SettingsError(f"cannot trust {settings.store_root}: {error}") from error
    return root


def talk(text: str) -> None:
    """Report progress on stderr."""
    print(f"zos bootstrap: {text}", file=sys.stderr, flush=True)
