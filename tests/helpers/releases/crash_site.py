"""Kills a server at each of its writes, and a client at each of its requests, while it publishes.

    python -m tests.helpers.releases.crash_site FOLDER STEP

It tries each STEP-th moment. After a death all that the store says must be valid, nodes get the
release before or the new one, and the same command, run again, publishes it. Prints how many
moments there were.
"""

import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from common.errors import ZosError
from common.releases.layout import Layout
from image.channel import server as client
from image.channel.verify import verify_store
from image.cli import main as run_image
from serving.listen import open_listener
from serving.run import run
from tests.helpers.releases.crash import POINTS_MAX, die_at
from tests.helpers.releases.site import make_app, make_token
from tests.helpers.releases.store import Maintainer, write_release

QUICK = client.RETRIES.new(total=0)


class Site:
    """A store, and the server on it."""

    def __init__(self, top: Path, maintainer: Maintainer) -> None:
        self.top = top
        self.maintainer = maintainer
        self.url = ""
        self.process = 0

    def start(self, point: int | None = None) -> None:
        """Run a server that kills itself at the n-th moment of its writes."""
        listener = open_listener("127.0.0.1", 0)
        self.url = "http://{}:{}".format(*listener.getsockname())
        self.process = os.fork()
        if self.process:
            return listener.close()
        self._serve(listener, point)
        return None

    def _serve(self, listener: socket.socket, point: int | None) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        app = make_app(self.top / "store", self.maintainer.root, self.top.parent / "state")
        if point is not None:
            die_at(point)
        run(app, listener, lambda: None)
        os._exit(0)

    def end(self) -> None:
        """End the server, if it has not done so itself."""
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)

    def publish(self, version: str) -> None:
        """Publish a release."""
        keys = str(self.maintainer.top / "keys")
        release = str(self.top.parent / version)
        words = ["--channel", "dev", "--release", release, "--keys", keys]
        run_image(["publish", self.url, *words], "zos image")

    def check(self, *releases: str) -> None:
        """Demand that all is valid, and that nodes get one of these releases."""
        layout = Layout(self.top / "store")
        report = verify_store(layout, self.maintainer.root, self.maintainer.now)
        assert report.is_good, [check for check in report.checks if not check.is_good]
        held = Maintainer(self.top, self.maintainer.root, self.maintainer.now).read("dev").release
        assert held in releases, held

    def publish_again(self, version: str) -> None:
        """Publish what may be published already."""
        try:
            self.publish(version)
        except ZosError as error:
            assert f"holds {version} already" in error.message, error
        self.check(version)


def kill_server(top: Path, maintainer: Maintainer, step: int) -> int:
    """Kill servers at each moment; return how many there were."""
    for point in range(0, POINTS_MAX, step):
        folder = top / f"server-{point}"
        shutil.copytree(maintainer.layout.top, folder / "store")
        site = Site(folder, maintainer)
        site.start(point)
        try:
            with mock.patch.object(client, "RETRIES", QUICK):
                site.publish("1.1")
            site.end()
            site.check("1.1")
            return point
        except ZosError:
            site.end()
        site.check("1.0", "1.1")
        site.start()
        site.publish_again("1.1")
        site.end()
        shutil.rmtree(folder)
    raise AssertionError("it does not end")


class Interrupted(BaseException):
    """What Ctrl-C is to a client."""


def kill_client(top: Path, maintainer: Maintainer, step: int) -> int:
    """Interrupt clients before and after each request; return how many moments there were."""
    folder = top / "client"
    shutil.copytree(maintainer.layout.top, folder / "store")
    site = Site(folder, maintainer)
    site.start()
    before = "1.0"
    for point in range(0, POINTS_MAX, step):
        version = f"2.{point}"
        write_release(top / version, version)
        try:
            with mock.patch.object(client.BootstrapServer, "_ask", interrupted_at(point)):
                site.publish(version)
        except Interrupted:
            site.check(before, version)
            site.publish_again(version)
            before = version
        else:
            site.end()
            return point
    raise AssertionError("it does not end")


def interrupted_at(point: int) -> Any:
    """Return the method that sends requests, until the n-th moment."""
    moments = iter(range(POINTS_MAX))
    ask = client.BootstrapServer._ask

    def interrupted(self: Any, *words: Any, **how: Any) -> Any:
        for is_sent in (False, True):
            answer = ask(self, *words, **how) if is_sent else None
            if next(moments) == point:
                raise Interrupted
        return answer

    return interrupted


def main() -> None:
    """Kill all, and print the numbers of moments."""
    top, step = Path(sys.argv[1]), int(sys.argv[2])
    os.fsync = lambda _: None  # type: ignore[assignment]
    os.environ["ZOS_TOKEN"] = make_token(top / "state")
    os.environ["ZOS_CACHE"] = str(top / "cache")
    maintainer = Maintainer.begin(top)
    maintainer.publish("dev", "1.0")
    write_release(top / "1.1", "1.1")
    print(f"server: {kill_server(top, maintainer, step)}", flush=True)
    print(f"client: {kill_client(top, maintainer, step)}", flush=True)


if __name__ == "__main__":
    main()
