"""`zos boot`: the whole chain on one machine, from packages to a workload that answers."""

import contextlib
import signal
import socket
import sys
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import urllib3
from fastapi import FastAPI
from rich.console import Console

from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app as create_bootstrap
from common.errors import EXIT_INTERRUPTED, ZosError
from common.locks import hold_lock
from common.scratch import scratch
from flist.hub.app import create_app as create_hub
from image.release.build import build_release
from serving.listen import open_listener
from serving.run import serve_in_thread
from zero_os.boot.core import add_core
from zero_os.boot.hub import LocalHub, prepare_hub
from zero_os.boot.node import REDIS_PORT, Node, boot_node
from zero_os.boot.options import Options, parse_options
from zero_os.boot.places import checkout_dir, link_files
from zero_os.boot.registry import prepare_registry
from zero_os.boot.report import Report
from zero_os.boot.reports import read_reports
from zero_os.boot.timeline import Timeline

RUN_MODE = "dev"
LOOPBACK = "127.0.0.1"
GUEST_VIEW = "10.0.2.2"  # this machine's loopback in QEMU's user-mode network
FETCH_TIMEOUT_S = 60.0
BUILD_DEADLINE_S = 4000.0
STAY_POLL_S = 1.0


@dataclass(frozen=True)
class Servers:
    """The servers of this command, as seen from this machine."""

    bootstrap: FastAPI
    hub: FastAPI
    page_url: str
    registry_url: str


class Talk:
    """Progress on stderr, each line with the seconds since the command began."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.console = Console(stderr=True, highlight=False)

    def clock(self) -> float:
        """Return the seconds since the command began."""
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(f"[dim]{self.clock():6.1f} s[/]  {text}", soft_wrap=True)


def main(argv: Sequence[str], prog: str) -> int:
    """Run the command."""
    options = parse_options(argv, prog)
    talk = Talk()
    timeline = Timeline()
    with ended_by_signals(), contextlib.ExitStack() as stack:
        page = stack.enter_context(open_listener(LOOPBACK, options.port))  # or fail before all work
        run = stack.enter_context(scratch("boot"))
        hub = prepare_hub(talk.say, run / "hub")
        if options.has_core:
            hub = add_core(hub, talk.say)
        releases = prepare_release(hub, run, talk, options.profile)
        timeline.reach("image built", talk.clock())
        talk.say("starting the hub, the bootstrap server and the registry")
        registry = prepare_registry(run / "registry", options.farm)
        servers = stack.enter_context(run_servers(hub, registry, releases, page))
        talk.say(f"the page, for browsers on this machine, is at {servers.page_url}")
        image = fetch_image(servers, options.farm, run)
        timeline.reach("image personalised", talk.clock())
        talk.say(f"farm {options.farm}'s USB image is {image}; booting from it")
        log = servers.bootstrap.state.server.log
        node = stack.enter_context(
            boot_node(
                image,
                options.firmware,
                timeline,
                talk.clock,
                on_stage=lambda stage: talk.say(stage),
                timeout_s=options.timeout_s,
                reports=lambda: read_reports(log, options.farm),
            )
        )
        report = make_report(options, node, servers, hub, timeline)
        show(report, options)
        return 0 if options.is_exit else stay(node, servers, talk)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP act like Ctrl-C, so that everything is stopped in order.

    SIGINT is set too: a shell without job control starts background commands with it ignored.
    """

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup sets it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def prepare_release(hub: LocalHub, run: Path, talk: Talk, profile: str) -> Path:
    """Build the release, unless nothing has changed; return this run's folder of all channels."""
    built = checkout_dir("releases") / RUN_MODE
    with hold_lock(built.with_suffix(".lock"), "building the release", BUILD_DEADLINE_S, talk.say):
        release = build_release(
            built,
            profile=profile,
            flist_keys=hub.key_file,
            progress=talk.say,
            allow_unlocked=True,
        )
        link_files(built, run / "releases" / RUN_MODE)
    talk.say(f"release {release.version} is in {built}")
    return run / "releases"


@contextlib.contextmanager
def run_servers(
    hub: LocalHub, registry: FastAPI, releases: Path, page: socket.socket
) -> Iterator[Servers]:
    """Serve the bootstrap pages on `page`, hub and registry on free ports of the loopback."""
    hub_socket, registry_socket = open_listener(LOOPBACK, 0), open_listener(LOOPBACK, 0)
    sockets = (hub_socket, registry_socket, page)
    hub_port, registry_port, page_port = (part.getsockname()[1] for part in sockets)
    settings = Settings(
        public_url=f"http://{GUEST_VIEW}:{page_port}",
        hub_url=f"http://{GUEST_VIEW}:{hub_port}",
        releases=releases,
        page_url=f"http://{LOOPBACK}:{page_port}",
        registry_url=f"http://{GUEST_VIEW}:{registry_port}",
    )
    hub_app = create_hub(hub.root)
    bootstrap = create_bootstrap(settings)
    bootstrap.state.server.templates.get()  # now, not during the first request
    with (
        serve_in_thread(hub_app, hub_socket),
        serve_in_thread(registry, registry_socket),
        serve_in_thread(bootstrap, page),
    ):
        here, registry_url = (f"http://{LOOPBACK}:{port}/" for port in (page_port, registry_port))
        yield Servers(bootstrap, hub_app, here, registry_url)


def fetch_image(servers: Servers, farm: int, folder: Path) -> Path:
    """Fetch the farm's USB image over HTTP, as a farmer would; return the file."""
    url = urllib.parse.urljoin(servers.page_url, f"usb/{RUN_MODE}/{farm}")
    try:
        response = urllib3.request("GET", url, timeout=FETCH_TIMEOUT_S, retries=False)
    except urllib3.exceptions.HTTPError as error:
        raise ZosError(f"cannot fetch {url}: {error}") from error
    if response.status != 200:
        raise ZosError(f"cannot fetch {url}: {response.status} {response.data[:200]!r}")
    image = folder / f"farm-{farm}.img"
    image.write_bytes(response.data)
    return image


def make_report(
    options: Options, node: Node, servers: Servers, hub: LocalHub, timeline: Timeline
) -> Report:
    """Return the report; raise `ZosError` if the node reports another farm."""
    if timeline.farm != options.farm:
        raise ZosError(f"the node reports farm {timeline.farm}, not {options.farm}")
    return Report(
        farm=timeline.farm,
        firmware=options.firmware,
        acceleration=node.machine.acceleration,
        timeline=timeline,
        kernel_bytes=sent_bytes(servers.bootstrap, "/kernel/"),
        flist_bytes=hub.total_bytes,
        fetched_bytes=sent_bytes(servers.hub, "/"),
        blocks_fetched=len(servers.hub.state.downloads.counts),
        answer=node.answer,
    )


def sent_bytes(app: FastAPI, prefix: str) -> int:
    """Return how many body bytes an application has sent for routes that begin with `prefix`."""
    metrics = app.state.kit.metrics
    return int(metrics.total(metrics.sent, prefix))


def show(report: Report, options: Options) -> None:
    """Print the report on stdout."""
    if options.is_json:
        print(report.as_json(), flush=True)
    else:
        report.print_table(Console(file=sys.stdout, highlight=False))


def stay(node: Node, servers: Servers, talk: Talk) -> int:
    """Keep everything running until Ctrl-C: return 130; 1 if the machine ends by itself."""
    talk.say(f"the node's Redis: redis-cli -p {node.port} (port {REDIS_PORT} of the node)")
    talk.say(f"the page: {servers.page_url}")
    talk.say(f"the registry: {servers.registry_url}")
    talk.say(f"the node's console: {node.machine.folder / 'console.log'}")
    try:
        talk.say("Ctrl-C stops everything")
        while not node.machine.process.wait(STAY_POLL_S):
            pass
    except KeyboardInterrupt:
        talk.say("stopping")
        return EXIT_INTERRUPTED
    talk.say(f"the node has ended: {node.machine.why_ended()}")
    return 1
