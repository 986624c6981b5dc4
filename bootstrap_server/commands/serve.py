"""`zos bootstrap serve`: the server on one address."""

import argparse
from typing import TYPE_CHECKING

from bootstrap_server.commands.shared import talk
from bootstrap_server.errors import SettingsError
from bootstrap_server.settings import BootstrapSettings, Settings
from common.files import read_regular
from common.tuf.errors import MetadataError
from common.tuf.trust import Session, Trusted
from serving.listen import open_listener, own_url, parse_address
from serving.settings import add_flags, load_settings

if TYPE_CHECKING:
    from bootstrap_server.commands.shared import Verbs

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser("serve", help="answer browsers and booting nodes over HTTP")
    add_flags(parser, BootstrapSettings)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Read the settings and serve."""
    flags = {key: value for key, value in vars(args).items() if key not in ("run", "verb")}
    config = flags.pop("config")
    return serve(load_settings(BootstrapSettings, flags, config))


def serve(settings: BootstrapSettings) -> int:
    """Build the template, then answer requests until a signal ends the server."""
    from bootstrap_server.images import keys
    from bootstrap_server.web.app import create_app
    from serving.run import run

    for folder in (settings.releases, settings.store, settings.kernels):
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
            image_key=keys.read_image_key(settings.image_key),
            secure_boot=keys.read_secure_boot(
                settings.secure_boot_key, settings.secure_boot_certificate
            ),
            tls_root=keys.read_root(settings.tls_root),
            mirrors=tuple(settings.mirror),
            state=settings.state,
            database=settings.database,
            unknown_nodes=settings.unknown_nodes,
            enrol_key=settings.enrol_key,
            reports_per_minute=settings.reports_per_minute,
            kernels=settings.kernels,
            registry_url=settings.registry,
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
        root = read_regular(settings.store_root)
        Session(Trusted(root), None)
    except OSError as error:
        raise SettingsError(f"cannot read {settings.store_root}: {error.strerror}") from error
    except MetadataError as error:
        raise SettingsError(f"cannot trust {settings.store_root}: {error}") from error
    return root
