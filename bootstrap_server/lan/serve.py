"""Serves a LAN: puts the parts together, and takes them apart whatever happens."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from fastapi import FastAPI

from bootstrap_server.lan.addresses import rules_of
from bootstrap_server.lan.app import Served, add_mirror, create_app
from bootstrap_server.lan.config import LanConfig, parse_pool, render_config
from bootstrap_server.lan.dnsmasq import Dnsmasq
from bootstrap_server.lan.files import read_programs, render_loader, run_folder, write_files
from bootstrap_server.lan.httpboot import answering
from bootstrap_server.lan.interface import (
    DHCP_PORT,
    TFTP_PORT,
    demand_ports,
    demand_root,
    find_address,
)
from bootstrap_server.lan.probe import find_servers
from bootstrap_server.lan.script import FarmScript, find_hubs, keep_at, localise
from bootstrap_server.lan.settings import DAY_S, GIB, LanSettings
from bootstrap_server.options.model import Options
from bootstrap_server.options.parse import parse_mapping
from serving.listen import open_listener, own_url
from serving.mirror.addresses import Addresses
from serving.mirror.mirror import Mirror
from serving.mirror.shelf import Shelf
from serving.mirror.upstream import Upstream
from serving.run import run

Tell = Callable[[str], None]


def serve(settings: LanSettings, tell: Tell) -> int:
    """Serve until a signal comes; 0 then. Raises `ZosError` if it can't, or can't any more."""
    path = f"/ipxe/{read_options(settings).path}"
    demand_root()
    address = find_address(settings.interface)
    with ending_as_by_interrupt(), contextlib.ExitStack() as stack:
        folder = stack.enter_context(run_folder(settings.interface))
        demand_ports(settings.interface, DHCP_PORT, TFTP_PORT)
        listener = stack.enter_context(open_listener(str(address.ip), settings.port))
        url = own_url(listener, is_tls=settings.tls_cert is not None)
        app = stack.enter_context(open_app(settings, path, url, tell))
        lan = make_config(settings, address, folder, url, tell)
        programs: Mapping[str, bytes] = app.state.programs
        write_files(folder, render_config(lan), programs, render_loader(lan.script_url))
        dnsmasq = Dnsmasq(folder, tell, lambda: os.kill(os.getpid(), signal.SIGTERM))
        stack.enter_context(dnsmasq.running())
        if lan.pool is None:
            stack.enter_context(answering(settings.interface, address.ip, url, tell))
        ready = f"ready: farm {settings.farm}'s machines on {settings.interface} can boot"
        run(app, listener, lambda: tell(ready))
        dnsmasq.check()
    return 0


def read_options(settings: LanSettings) -> Options:
    """Return what the machines' script is made for. Raises `InputError`."""
    typed = {"runmode": settings.runmode, "farm": settings.farm, "extra": settings.extra}
    return parse_mapping({name: value for name, value in typed.items() if value})


@contextlib.contextmanager
def ending_as_by_interrupt() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt in the block, so that it cleans up."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def open_app(settings: LanSettings, path: str, url: str, tell: Tell) -> Iterator[FastAPI]:
    """Yield the application, with the farm's script and iPXE's files at hand."""
    mirror = settings.mirror
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(contextlib.closing(Upstream(settings.server)))
        kept = None
        if mirror is not None:
            shelf = stack.enter_context(Shelf(mirror, int(settings.mirror_size * GIB)))
            kept = keep_at(mirror, settings.server, path)
        script = FarmScript(server, path, kept, tell)
        text = script.get()
        tell("getting iPXE (the first time, this fetches a Debian package)")
        if mirror is None:
            yield create_app(Served(read_programs(), script.get), settings)
            return
        localise(text, settings.server, url)  # tell now if it can't be done
        hub = Upstream(*(settings.hub.split(",") if settings.hub else find_hubs(text)))
        served = Served(read_programs(), lambda: localise(script.get(), settings.server, url))
        app = create_app(served, settings)
        pool, stale_s = app.state.kit.pools.hashing, settings.mirror_stale * DAY_S
        upstreams = {"server": server, "hub": hub}
        proxy = Mirror(Addresses(rules_of(settings.runmode)), shelf, upstreams, pool, stale_s, tell)
        stack.enter_context(contextlib.closing(proxy))
        add_mirror(app, proxy, server)
        tell(f"mirror of {server.url} and {hub.url} in {mirror}")
        yield app


def make_config(
    settings: LanSettings, address: IPv4Interface, folder: Path, url: str, tell: Tell
) -> LanConfig:
    """Return what dnsmasq shall do."""
    return LanConfig(
        settings.interface,
        address,
        folder,
        url,
        parse_pool(settings.range, address) if choose_full(settings, tell) else None,
        IPv4Address(settings.gateway) if settings.gateway else None,
        tuple(map(IPv4Address, settings.dns)),
    )


def choose_full(settings: LanSettings, tell: Tell) -> bool:
    """Return whether the LAN gets its addresses from here: `auto` asks it for another server."""
    name = settings.interface
    if settings.dhcp == "proxy":
        tell(f"proxyDHCP on {name}: another server gives the addresses")
        return False
    tell(f"looking for a DHCP server on {name}")
    found = ", ".join(find_servers(name))
    if found and settings.dhcp == "auto":
        tell(f"proxyDHCP beside {found}, which gives the addresses")
        return False
    if found:
        tell(f"warning: {found} gives addresses on {name}, too; machines may take either")
    tell(f"full DHCP on {name}")
    return True
