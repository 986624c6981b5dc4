"""Hub and bootstrap server on the kit: each of its promises, once on each of them."""

import contextlib
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.flist.servers import make_certificate
from tests.helpers.needs import need_tool
from tests.helpers.serving.checks import (
    PATIENT,
    check_crowd,
    check_operation,
    check_stop_under_download,
)
from tests.helpers.serving.process import Running, running

pytestmark = pytest.mark.timeout(900)
ZOS = [sys.executable, "-m", "zero_os"]
CONTENT = bytes(range(251)) * 300_000
START_S = 600  # the first template on a machine fetches packages


class Site(NamedTuple):
    """How one server is started, and what it serves."""

    command: list[str]
    folder: str  # of the large file, below the test's
    large: str
    small: str


SITES = {
    "hub": Site([*ZOS, "hub", "serve", "."], "flists/me", "/me/large.fl", "/api/flist"),
    "bootstrap": Site(
        [*ZOS, "bootstrap", "serve", "--releases", ".", "--hub", "http://hub.example"],
        "dev",
        "/kernel/dev/large.fl",
        "/kernel/dev/release.ipxe",
    ),
}


@pytest.fixture(params=list(SITES))
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return each server in turn, with a large file in its folder."""
    found = SITES[request.param]
    if request.param == "bootstrap":
        need_tool("apt-get")
    folder = tmp_path / found.folder
    folder.mkdir(parents=True)
    (folder / "large.fl").write_bytes(CONTENT)
    for name in ("vmlinuz", "initramfs.zst"):  # a release, though none that boots
        (folder / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    return found


def run(
    site: Site, *words: str | Path, authority: Path | None = None
) -> contextlib.AbstractContextManager[Running]:
    """Run a server on a free port."""
    call = [*site.command, "--listen", "127.0.0.1:0", "--log-format", "json", *words]
    return running(call, Path("log"), start_s=START_S, authority=authority)


def test_operation(site: Site) -> None:
    with run(site) as server:
        check_operation(server, site.small)


def test_tls_from_files_and_settings_from_everywhere(site: Site) -> None:
    files = make_certificate(Path("tls"))
    Path("settings.toml").write_text(f'tls_cert = "{files.site}"\nlog_format = "text"\n')
    words: list[str | Path] = ["--config", "settings.toml", "--tls-key", files.key]
    with run(site, *words, authority=files.authority) as server:
        assert server.url.startswith("https://")
        assert server.ask(site.large).data == CONTENT
        assert server.lines()  # the flag overrides the file


def test_a_download_completes_while_the_server_stops(site: Site) -> None:
    with run(site) as server:
        check_stop_under_download(server, site.large, hashlib.sha256(CONTENT).hexdigest())


def test_five_thousand_slow_clients(site: Site) -> None:
    with run(site, "--max-connections", "3000", "--log-level", "warning", *PATIENT) as server:
        assert server.ask(site.large).data == CONTENT
        check_crowd(server, site.large, site.small, 3000)


def test_several_workers_serve_and_stop(site: Site) -> None:
    state = ["--state", "state"] if "bootstrap" in site.command else []
    with run(site, "--workers", "2", *state) as server:
        assert server.ask(site.large).data == CONTENT
        check_stop_under_download(server, site.large, hashlib.sha256(CONTENT).hexdigest())
        assert len(server.find_lines(event="stopped", cut_off=0)) == 2


def test_state_in_memory_is_for_one_process(tmp_path: Path) -> None:
    need_tool("apt-get")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    call = [*SITES["bootstrap"].command, "--listen", "127.0.0.1:0", "--workers", "2"]
    done = subprocess.run(
        call, capture_output=True, text=True, timeout=START_S, cwd=tmp_path, env=env
    )
    assert done.returncode == 2
    assert "cannot serve with 2 workers: the state is in memory" in done.stderr
    assert "--state DIR" in done.stderr
