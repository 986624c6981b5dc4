"""The mirror over real HTTP: one download for many nodes, and nothing damaged is ever kept."""

import contextlib
import hashlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3

from bootstrap_server.lan import app
from bootstrap_server.lan.addresses import rules_of
from serving.listen import open_listener, own_url
from serving.mirror import mirror as mirrors
from serving.mirror import upstream as requests
from serving.mirror.addresses import Addresses
from serving.mirror.mirror import Mirror
from serving.mirror.shelf import Shelf
from serving.run import serve_in_thread
from serving.settings import ServerSettings
from tests.helpers.lan.upstream import Upstream, open_upstream
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(240)
NODES = 10
DAY_S = 86400
PINNED = f"/kernel/dev/{'a' * 32}/vmlinuz"
CURRENT = "/kernel/dev/release.ipxe"
KERNEL = random.Random(14).randbytes(3_000_000)
BLOCK = random.Random(15).randbytes(200_000)
NAME = hashlib.blake2b(BLOCK, digest_size=32).hexdigest()
BLOCK_PATH = f"/blocks/{NAME[:2]}/{NAME}"


class Site:
    """A mirror with one upstream that is both the bootstrap server and the hub."""

    def __init__(self, url: str, upstream: Upstream, shelf: Shelf) -> None:
        self.url, self.upstream, self.shelf = url, upstream, shelf
        self.said: list[str] = []
        self.now = 0.0
        self.pool = urllib3.PoolManager(retries=False, timeout=60, maxsize=NODES)

    def ask(self, path: str, method: str = "GET", **headers: str) -> urllib3.BaseHTTPResponse:
        """Send one request."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.pool.request(method, self.url + path, headers=named)

    def ask_together(self, path: str) -> list[bytes]:
        """Send the request of ten nodes at once; return the bodies."""
        gate = threading.Barrier(NODES)

        def ask() -> bytes:
            gate.wait(60)
            answer = self.ask(path)
            assert answer.status == 200
            return answer.data

        with ThreadPoolExecutor(NODES) as threads:
            return [job.result() for job in [threads.submit(ask) for _ in range(NODES)]]

    def is_new_empty(self) -> bool:
        """Return whether no download is left in the mirror's folder."""
        return not list((self.shelf.top / "new").iterdir())


@contextlib.contextmanager
def open_site(top: Path, upstream: Upstream, limit: int = 1 << 30) -> Iterator[Site]:
    """Serve a mirror in the folder `top`."""
    settings = ServerSettings()
    with contextlib.ExitStack() as stack:
        site: Site
        shelf = stack.enter_context(Shelf(top, limit, clock=lambda: site.now))
        listener = open_listener("127.0.0.1", 0)
        site = Site(own_url(listener), upstream, shelf)
        served = app.create_app(app.Served({}, lambda: ""), settings)
        server = requests.Upstream(upstream.url)
        both = {"server": server, "hub": server}
        pool = served.state.kit.pools.hashing
        mirror = Mirror(Addresses(rules_of("dev")), shelf, both, pool, 7 * DAY_S, site.said.append)
        stack.enter_context(contextlib.closing(mirror))
        app.add_mirror(served, mirror, server)
        stack.enter_context(serve_in_thread(served, listener))
        yield site


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Return an upstream with a kernel, its channel and a block."""
    with open_upstream() as served:
        served.files = {PINNED: KERNEL, CURRENT: b"#!ipxe\nset release 1\n", BLOCK_PATH: BLOCK}
        served.files["/zos/root.fl"] = b"a flist"
        served.etags[BLOCK_PATH] = f'"{NAME}"'
        yield served


@pytest.fixture
def site(tmp_path: Path, upstream: Upstream) -> Iterator[Site]:
    """Return a mirror of it."""
    with open_site(tmp_path / "mirror", upstream) as site:
        yield site


@pytest.mark.parametrize(("path", "data"), [(PINNED, KERNEL), (f"/hub{BLOCK_PATH}", BLOCK)])
def test_ten_nodes_cost_one_download(
    site: Site, upstream: Upstream, path: str, data: bytes
) -> None:
    above = path.removeprefix("/hub")
    upstream.gate.clear()
    waiter = threading.Timer(1, upstream.gate.set)  # all ten wait for the same download by then
    waiter.start()
    assert set(site.ask_together(path)) == {data}
    waiter.join()
    assert set(site.ask_together(path)) == {data}
    assert upstream.asked[above] == 1
    assert upstream.sent[above] == len(data)
    part = site.ask(path, range="bytes=100-199")
    assert (part.status, part.data) == (206, data[100:200])
    head = site.ask(path, "HEAD")
    assert (head.status, head.headers["content-length"]) == (200, str(len(data)))
    assert head.headers["etag"] == upstream.etag(above)
    assert "immutable" in head.headers["cache-control"]
    assert site.ask(path, if_none_match=head.headers["etag"]).status == 304
    assert upstream.asked[above] == 1


def test_nodes_get_what_has_arrived_before_all_has(site: Site, upstream: Upstream) -> None:
    upstream.gate.clear()
    answer = site.pool.request("GET", site.url + PINNED, preload_content=False)
    first = answer.read(1000)
    assert first == KERNEL[:1000]
    upstream.gate.set()
    assert first + answer.read() == KERNEL


def test_what_changes_is_asked_for_each_time_and_sent_once(site: Site, upstream: Upstream) -> None:
    for _ in range(3):
        assert site.ask(CURRENT).data == upstream.files[CURRENT]
    assert (upstream.asked[CURRENT], upstream.sent[CURRENT]) == (3, len(upstream.files[CURRENT]))
    upstream.files[CURRENT] = b"#!ipxe\nset release 2\n"
    assert site.ask(CURRENT).data == upstream.files[CURRENT]
    assert "immutable" not in site.ask(CURRENT).headers.get("cache-control", "")
    assert site.ask("/hub/zos/root.fl").data == b"a flist"


def is_cut_or_refused(site: Site, path: str) -> bool:
    """Return whether a download ends early, or fails before its first byte."""
    try:
        return site.ask(path).status >= 500
    except urllib3.exceptions.ProtocolError:
        return True


@pytest.mark.parametrize("fault", ["truncated", "altered"])
@pytest.mark.parametrize("path", [PINNED, f"/hub{BLOCK_PATH}"])
def test_a_damaged_answer_is_never_whole_and_never_kept(
    site: Site, upstream: Upstream, fault: str, path: str
) -> None:
    above = path.removeprefix("/hub")
    getattr(upstream, fault).add(above)
    assert is_cut_or_refused(site, path)
    assert site.shelf.find(path) is None
    wait_until(site.is_new_empty, "nothing is left")
    wanted = {"truncated": "the answer ended after", "altered": "damaged"}[fault]
    assert any(wanted in line or "IncompleteRead" in line for line in site.said)
    getattr(upstream, fault).clear()
    assert site.ask(path).data == upstream.files[above]


def test_a_target_must_have_the_digest_in_its_name(site: Site, upstream: Upstream) -> None:
    name = hashlib.sha256(b"what the channel signed").hexdigest()
    path = f"/channel/targets/dev/{name}.vmlinuz"
    upstream.files[path] = b"what somebody else wrote"
    upstream.etags[path] = '"no-digest"'
    assert is_cut_or_refused(site, path)
    assert site.shelf.find(path) is None


def test_while_the_upstream_is_away_it_serves_what_it_has(site: Site, upstream: Upstream) -> None:
    assert site.ask(CURRENT).status == site.ask(PINNED).status == 200
    upstream.status = {CURRENT: 503, PINNED: 503}
    site.now = 6 * DAY_S
    assert site.ask(CURRENT).data == upstream.files[CURRENT]
    assert f"{CURRENT}: served as it was 144.0 h ago" in site.said
    asked = upstream.asked[CURRENT]
    assert site.ask(CURRENT).status == 200
    assert upstream.asked[CURRENT] == asked  # it is left alone for a moment
    site.now = 8 * DAY_S
    late = site.ask(CURRENT)
    assert late.status == 503 and late.headers["retry-after"]
    assert site.ask(PINNED).data == KERNEL  # never changes, so it is never stale


def test_it_comes_back_with_the_upstream(
    site: Site, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "REST_S", 0.0)
    site.ask(CURRENT)
    upstream.status[CURRENT] = 502
    assert site.ask(CURRENT).status == 200
    upstream.status.clear()
    upstream.files[CURRENT] = b"#!ipxe\nset release 3\n"
    assert site.ask(CURRENT).data == upstream.files[CURRENT]


def test_what_is_no_longer_there_is_forgotten(site: Site, upstream: Upstream) -> None:
    site.ask(CURRENT)
    del upstream.files[CURRENT]
    assert site.ask(CURRENT).status == 404
    assert site.shelf.find(CURRENT) is None


@pytest.mark.parametrize(
    "path",
    [
        "/kernel/prod/release.ipxe",
        "/kernel/dev/../prod/vmlinuz",
        "/kernel/dev/%2e%2e/x",
        "/hub/api/flist",
        "/hub/blocks/ff/1",
        "/channel/metadata/root.json",
        "/hub//etc/passwd.fl",
    ],
)
def test_other_addresses_never_reach_the_upstream(
    site: Site, upstream: Upstream, path: str
) -> None:
    assert site.ask(path).status == 404
    assert not upstream.asked


def test_the_least_recently_used_goes_first(tmp_path: Path, upstream: Upstream) -> None:
    blocks = [random.Random(n).randbytes(100_000) for n in range(4)]
    paths = []
    for block in blocks:
        name = hashlib.blake2b(block, digest_size=32).hexdigest()
        upstream.files[f"/blocks/{name}"] = block
        paths.append(f"/hub/blocks/{name}")
    with open_site(tmp_path / "mirror", upstream, 300_000) as site:
        for site.now, number in enumerate([0, 1, 2, 0, 3]):
            assert site.ask(paths[number]).data == blocks[number]
        wait_until(lambda: site.shelf.find(paths[1]) is None, "the oldest has gone")
        assert site.shelf.total_bytes == 300_000
        kept = list((site.shelf.top / "content").glob("*/*"))
        assert len(kept) == 3
        asked = sum(upstream.asked.values())
        assert site.ask(paths[0]).data == blocks[0]
        assert sum(upstream.asked.values()) == asked
    huge = PINNED
    with open_site(tmp_path / "small", upstream, 300_000) as site:
        assert site.ask(huge).status == 503
        assert "more than this mirror may keep" in site.said[-1]


def test_it_survives_a_restart_and_drops_what_a_crash_left(
    tmp_path: Path, upstream: Upstream
) -> None:
    top = tmp_path / "mirror"
    with open_site(top, upstream) as site:
        site.ask(PINNED)
        site.ask(f"/hub{BLOCK_PATH}")
    (top / "new" / "half").write_bytes(b"half")
    (top / "content" / "ff").mkdir(exist_ok=True)
    orphan = top / "content" / "ff" / ("ff" * 32)
    orphan.write_bytes(b"no row names it")
    damaged = top / "content" / (digest := hashlib.sha256(BLOCK).hexdigest())[:2] / digest
    damaged.write_bytes(BLOCK[:-1] + b"?")
    with open_site(top, upstream) as site:
        assert not orphan.exists() and site.is_new_empty()
        assert site.ask(PINNED).data == KERNEL
        assert upstream.asked[PINNED] == 1
        assert site.ask(f"/hub{BLOCK_PATH}").data == BLOCK
        assert upstream.asked[BLOCK_PATH] == 2  # what was damaged on disk is fetched again
        with pytest.raises(Exception, match="another process does"):
            Shelf(top, 1).open()


def test_a_folder_that_is_no_mirror(tmp_path: Path) -> None:
    (tmp_path / "table.sqlite").write_bytes(b"something else" * 1000)
    with pytest.raises(Exception, match=r"cannot use the mirror .*: file is not a database"):
        Shelf(tmp_path, 1).open()
    (tmp_path / "table.sqlite").unlink()
    with Shelf(tmp_path, 1) as shelf:  # the lock has been released
        assert shelf.total_bytes == 0


def test_reports_of_nodes_are_passed_on(site: Site, upstream: Upstream) -> None:
    body = b'{"mac": "52:54:00:00:00:01"}'
    assert site.pool.request("POST", f"{site.url}/boot/ready", body=body).status == 200
    assert upstream.reports == [("/boot/ready", body)]
    assert site.said == []
    upstream.files["/boot/kernel?mac=1"] = b"#!ipxe\n"
    assert site.ask("/boot/kernel?mac=1").data == b"#!ipxe\n"
    lost = site.ask("/boot/initramfs")  # the upstream says 404: the node boots all the same
    assert (lost.status, lost.data) == (200, b"#!ipxe\n")
    assert site.ask("/boot/..%2fkernel").status == 404
    assert site.pool.request("POST", f"{site.url}/boot/ready", body=bytes(9000)).status == 413


def test_a_machine_that_reports_without_end_is_stopped(site: Site, upstream: Upstream) -> None:
    upstream.files["/boot/kernel"] = b"#!ipxe\n"
    found = [site.ask("/boot/kernel").status for _ in range(2 * app.REPORTS_AT_ONCE)]
    assert found[: app.REPORTS_AT_ONCE] == [200] * app.REPORTS_AT_ONCE
    assert 429 in found
    assert upstream.asked["/boot/kernel"] == found.count(200)
    assert site.ask(PINNED).status == 200, "it may fetch all the same"


def test_reports_to_a_slow_server_leave_threads_for_downloads(
    site: Site, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[int] = []
    gate = threading.Event()

    def send(*_: object) -> bytes:
        entered.append(1)
        gate.wait(60)
        return b""

    monkeypatch.setattr(requests.Upstream, "send", send)
    count = app.SENDING_MAX + 4
    with ThreadPoolExecutor(count) as threads:
        try:
            jobs = [threads.submit(site.ask, "/boot/kernel") for _ in range(count)]
            wait_until(lambda: len(entered) == app.SENDING_MAX, "as many as may be sent at once")
            assert site.ask(PINNED).data == KERNEL
            assert len(entered) == app.SENDING_MAX
        finally:
            gate.set()
        assert {job.result().status for job in jobs} == {200}
