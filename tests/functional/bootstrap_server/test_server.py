"""`zos bootstrap serve` over real HTTP: ranges, conditions, channels, errors, the form."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import urllib3

from bootstrap_server.images import disk
from bootstrap_server.images.template import RECIPES
from bootstrap_server.options.model import Options
from common.paths import cache_dir
from tests.helpers.needs import need_tool
from tests.helpers.tcp import read_all
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(900)
KERNEL = bytes(range(256)) * 5000
HUB = "http://hub.example"
START_S = 600  # the first template on a machine fetches packages
ANSWER_S = 60
PUBLIC = "http://boot.example"
MARKED = f"{Options('dev', 42, ('zos-debug',)).file_name}.img"


class Server:
    """A running `zos bootstrap serve`, and requests to it."""

    def __init__(self, url: str, releases: Path) -> None:
        self.url = url
        self.releases = releases
        self.pool = urllib3.PoolManager(retries=False, timeout=ANSWER_S)

    def ask(
        self, path: str, method: str = "GET", **headers: str
    ) -> urllib3.response.BaseHTTPResponse:
        """Send one request; `_` in a header's name stands for `-`."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.pool.request(method, self.url + path, headers=named, redirect=False)

    def ask_raw(self, target: str) -> bytes:
        """Send a request line verbatim, which client libraries do not."""
        place = urlsplit(self.url)
        assert place.hostname and place.port
        with socket.create_connection((place.hostname, place.port), ANSWER_S) as stream:
            head = f"GET {target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
            stream.sendall(head.encode("latin-1"))
            return read_all(stream)


def small_reply_s(server: Server) -> float:
    """Return the shortest time of a few small replies on one connection, in seconds."""
    times = []
    for _ in range(10):
        start = time.monotonic()
        assert server.ask("/ipxe/dev/1").status == 200
        times.append(time.monotonic() - start)
    return min(times)


@contextmanager
def run_server(releases: Path, **environment: str) -> Iterator[Server]:
    """Run the command on a free port until the block ends."""
    need_tool("apt-get")
    call = [sys.executable, "-m", "zero_os", "bootstrap", "serve", "--listen", "127.0.0.1:0"]
    call += ["--releases", str(releases), "--hub", HUB, "--url", PUBLIC, "--allow-parameter", "x"]
    env = {**os.environ, **environment}
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stderr
        guard = threading.Timer(START_S, process.kill)
        guard.start()
        said = ""
        for line in process.stderr:
            said += line
            if "listening on" in line:
                break
        guard.cancel()
        found = re.search(r"listening on (\S+),", said)
        drain = threading.Thread(target=process.stderr.read)
        drain.start()
        try:
            assert found, said
            yield Server(found[1], releases)
            process.send_signal(signal.SIGINT)
            process.wait(ANSWER_S)
        finally:
            process.kill()
            drain.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    top = tmp_path_factory.mktemp("server")
    (top / "secret").write_text("secret")
    releases = top / "releases"
    (releases / "v1").mkdir(parents=True)
    for name in ("vmlinuz", "initramfs.zst"):
        (releases / "v1" / name).write_bytes(KERNEL)
    (releases / "dev").symlink_to("v1")  # a channel may be a link to a release
    (releases / "qa").mkdir()
    (releases / "qa" / "vmlinuz").symlink_to(top / "secret")
    (releases / "prod").symlink_to(top)
    (releases / "qa" / "folder").mkdir()
    with run_server(releases) as running:
        yield running


def test_health(server: Server) -> None:
    assert server.ask("/health").json() == {"status": "ok"}
    said = server.ask("/ready").json()
    assert said["status"] == "ready"
    assert said["template"] is True
    assert said["channels"] == {"dev": True, "qa": False, "test": False, "prod": False}


def test_small_replies_do_not_wait_for_an_acknowledgement(server: Server) -> None:
    # With Nagle's algorithm every reply takes 40 ms; without, 1 ms, and longer on a busy machine.
    wait_until(lambda: small_reply_s(server) < 0.03, "a reply within 30 ms")


def test_a_release_file(server: Server) -> None:
    answer = server.ask("/kernel/dev/vmlinuz")
    assert answer.data == KERNEL
    assert answer.headers["etag"] == f'"{hashlib.sha256(KERNEL).hexdigest()}"'
    assert answer.headers["content-length"] == str(len(KERNEL))
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    "path", ["/kernel/dev/vmlinuz", "/usb/dev/1", "/ipxe/dev/1", "/", "/health"]
)
def test_head_is_get_without_a_body(server: Server, path: str) -> None:
    get, head = server.ask(path), server.ask(path, "HEAD")
    assert head.status == get.status == 200
    assert head.data == b""
    for name in ("content-length", "content-type", "etag"):
        assert head.headers.get(name) == get.headers.get(name)


@pytest.mark.parametrize("path", ["/kernel/dev/vmlinuz", "/usb/dev/1"])
def test_ranges_and_conditions(server: Server, path: str) -> None:
    full = server.ask(path)
    etag, size = full.headers["etag"], len(full.data)
    spans = {
        "bytes=0-0": (0, 1),
        f"bytes={size // 2}-": (size // 2, size),
        "bytes=-7": (size - 7, size),
    }
    for asked, (start, stop) in spans.items():
        part = server.ask(path, Range=asked)
        assert part.status == 206
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert part.data == full.data[start:stop]
    beyond = server.ask(path, Range=f"bytes={size}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert server.ask(path, Range="bytes=0-1", If_Range=etag).status == 206
    assert server.ask(path, Range="bytes=0-1", If_Range='"old"').status == 200
    same = server.ask(path, If_None_Match=etag)
    assert (same.status, same.data, same.headers["etag"]) == (304, b"", etag)


def test_a_replaced_release_has_another_etag(server: Server, tmp_path: Path) -> None:
    path = server.releases / "v1" / "notes.txt"
    path.write_text("one")
    before = server.ask("/kernel/dev/notes.txt")
    new = tmp_path / "new"
    new.write_text("two")
    new.replace(path)
    after = server.ask("/kernel/dev/notes.txt", If_None_Match=before.headers["etag"])
    assert after.data == b"two"


@pytest.mark.parametrize(
    "target",
    [
        "/kernel/dev/../../secret",
        "/kernel/dev/..%2f..%2fsecret",
        "/kernel/dev/%2e%2e/%2e%2e/secret",
        "/kernel/../secret/x",
        "/kernel/%2e%2e/secret",
        "/kernel//etc/passwd",
        "/kernel/dev//etc/passwd",
        "/kernel/qa/vmlinuz",  # a link out of the releases
        "/kernel/prod/secret",  # a channel that is a link out
        "/kernel/qa/folder",
        "/kernel/v1/vmlinuz",  # a folder that is not a channel
        "/kernel/dev/.hidden",
        "/kernel/dev/vmlinuz%00",
        "/kernel/dev/vmlinuz%0a",
        "/kernel/dev/none",
    ],
)
def test_no_other_file_can_be_read(server: Server, target: str) -> None:
    answer = server.ask_raw(target)
    assert re.match(rb"HTTP/1.1 4\d\d ", answer), answer
    assert b"secret" not in answer.partition(b"\r\n\r\n")[2]


def test_image_download(server: Server, tmp_path: Path) -> None:
    answer = server.ask("/usb/dev/42/zos-debug", Accept="text/html,*/*;q=0.8")
    assert len(answer.data) == disk.DISK_BYTES
    assert b"farmer_id=42 " in answer.data
    name = answer.headers["content-disposition"]
    assert name == f'attachment; filename="{MARKED}"'
    plain = server.ask("/usb/dev/42", "HEAD", Accept="text/html").headers["content-disposition"]
    assert plain == 'attachment; filename="zero-os-dev-farm42.img"'
    upstream = server.ask("/usb/dev/42", "HEAD").headers
    assert upstream["content-disposition"] == "inline; filename=ipxe-dev.img"
    assert upstream["vary"] == "Accept, User-Agent"
    script = server.ask("/ipxe/dev/42/zos-debug").data
    assert script in answer.data
    assert b"http://boot.example/kernel/dev" in script


def test_the_curl_line_of_the_page_works(server: Server, tmp_path: Path) -> None:
    need_tool("curl")
    typed = "zos-debug relay=wss://a x=a_/../b"
    page = server.ask(f"/?farm=42&runmode=dev&extra={quote(typed)}").data.decode()
    line = re.search(r"curl --fail [^<]+", page)
    assert line
    call = unescape(line[0]).replace(PUBLIC, server.url)  # as a browser shows it
    for _ in range(2):  # a second download is no error
        subprocess.run(
            call, shell=True, check=True, cwd=tmp_path, capture_output=True, timeout=ANSWER_S
        )
        (image,) = tmp_path.iterdir()
        assert f"if={image.name}" in page
        assert f" nomodeset {typed} ${{release_parameters}} || ".encode() in image.read_bytes()


def test_curl_shows_why_a_farm_number_is_refused(server: Server) -> None:
    need_tool("curl")
    call = ["curl", "--fail-with-body", f"{server.url}/usb/dev/0"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    assert done.returncode == 22
    assert "a farm number is a whole number from 1" in done.stdout
    assert "hint" in done.stdout


class Controls(HTMLParser):
    """The ids, label targets, links and named controls of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.labels: set[str] = set()
        self.named: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the attributes of a tag."""
        values = {key: value or "" for key, value in attrs}
        self.ids.add(values.get("id", ""))
        if tag == "label":
            self.labels.add(values["for"])
        if tag == "input":
            self.named.append(values["name"])
            assert values["id"]
        if tag == "a":
            self.links.append(values["href"])
        assert tag != "script"


def test_the_form(server: Server) -> None:
    answer = server.ask("/", Accept="text/html")
    page = Controls(answer.data.decode())
    assert set(page.named) == {"farm", "machine", "runmode", "extra"}
    assert page.labels <= page.ids
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert server.ask("/style.css").headers["content-type"].startswith("text/css")


def test_the_addresses_of_a_filled_form_work(server: Server) -> None:
    page = Controls(server.ask("/?farm=7&runmode=dev&extra=zos-debug").data.decode())
    urls = [link.replace(PUBLIC, server.url) for link in page.links if link.startswith(PUBLIC)]
    files = {url: server.pool.request("GET", url).data for url in urls}
    images = {url: data for url, data in files.items() if not url.endswith(".sha256")}
    assert [urlsplit(url).path.split("/")[1] for url in images] == ["usb", "full", "ipxe"]
    for url, data in images.items():
        assert b"farmer_id=7" in data
        beside = files.get(f"{url}.sha256", hashlib.sha256(data).hexdigest().encode())
        assert beside.startswith(hashlib.sha256(data).hexdigest().encode())


def test_the_page_tells_of_the_image(server: Server) -> None:
    text = server.ask("/?farm=7&runmode=dev&extra=light").data.decode()
    assert hashlib.sha256(server.ask("/usb/dev/7/light").data).hexdigest() in text
    for word in ("5 MiB", "node ready: farm 7", "cannot boot"):
        assert word in text


def test_the_page_offers_no_image_without_a_release(server: Server) -> None:
    text = server.ask("/?farm=7&runmode=qa&extra=").data.decode()
    assert "no complete release for qa" in text
    assert not [link for link in Controls(text).links if link.startswith(PUBLIC)]
    assert "curl" not in text


def test_the_form_shows_the_error_of_every_field(server: Server) -> None:
    answer = server.ask("/?farm=0&runmode=x&extra=init%3Dx")
    assert answer.status == 422
    text = answer.data.decode()
    assert text.count('class="error"') == 3
    page = Controls(text)
    wanted = {"farm", "runmode-dev", "extra"}  # they can have the focus
    inside = {link.removeprefix("#") for link in page.links if link.startswith("#")}
    assert inside == wanted | {"main"}
    assert wanted | {"farm-error", "runmode-error", "extra-error"} <= page.ids


@pytest.mark.parametrize(
    ("path", "method", "status", "word"),
    [
        ("/nowhere", "GET", 404, "at this address"),
        ("/usb", "GET", 404, "at this address"),
        ("/usb/qa", "GET", 404, "no such file"),
        ("/usb/dev/1.sig", "GET", 404, "signs no images"),
        ("/image-key.pub", "GET", 404, "signs no images"),
        ("/uki/dev", "GET", 404, "no such file"),
        ("/krn/dev/1/zos-debug/zos-v3.efi", "GET", 404, "at this address"),
        ("/ipxe/beta/1", "GET", 404, "run mode"),
        ("/ipxe/dev/0", "GET", 422, "farm number"),
        ("/usb/dev/1/init=x", "GET", 422, "first process"),
        ("/usb/dev/1/mem=1G", "GET", 422, "kernel parameter mem"),
        ("/usb/dev/1/zos-debug/zos-v3.efi", "GET", 404, "no earlier releases"),
        ("/", "POST", 405, "GET or HEAD"),
    ],
)
def test_errors(server: Server, path: str, method: str, status: int, word: str) -> None:
    answer = server.ask(path, method, Accept="*/*")
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert word in answer.json()["detail"]
    page = server.ask(path, method, Accept="text/html,*/*;q=0.8")
    assert page.status == status
    assert page.headers["content-type"].startswith("text/html")
    assert word in page.data.decode()
    if status == 405:
        assert answer.headers["allow"] == page.headers["allow"] == "GET, HEAD"


def test_the_description_lists_the_addresses(server: Server) -> None:
    paths = server.ask("/openapi.json").json()["paths"]
    assert {
        "/ipxe/{run_mode}/{farm}",
        "/usb/{run_mode}/{farm}",
        "/kernel/{run_mode}/{name}",
        "/kernel/{run_mode}/{release}/{name}",
        "/kernel/{run_mode}/release.ipxe",
    } <= set(paths)


def test_two_servers_with_an_empty_cache_build_each_template_once(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "debian").symlink_to(cache_dir("debian"))
    channel = tmp_path / "releases" / "dev"
    channel.mkdir(parents=True)
    for name in ("vmlinuz", "initramfs.zst"):
        (channel / name).write_bytes(KERNEL)
    cache = str(tmp_path / "cache")
    with run_server(tmp_path / "releases", ZOS_CACHE=cache) as one:
        with run_server(tmp_path / "releases", ZOS_CACHE=cache) as two:
            first, second = one.ask("/usb/dev/1"), two.ask("/usb/dev/1")
            assert first.status == second.status == 200
            assert first.data == second.data
    assert len(list((tmp_path / "cache" / "bootstrap").glob("*.img"))) == len(RECIPES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", "nowhere"], "cannot listen on 'nowhere'"),
        (["--listen", "127.0.0.1:99999"], "cannot listen"),
        (["--url", "ftp://x"], "cannot use 'ftp://x' as the public URL"),
        (["--hub", "x"], "cannot use 'x' as the hub"),
        (["--releases", "/nowhere"], "it is not a folder"),
    ],
)
def test_bad_settings_are_refused(tmp_path: Path, words: list[str], said: str) -> None:
    call = [sys.executable, "-m", "zero_os", "bootstrap", "serve", "--listen", "127.0.0.1:0"]
    call += ["--hub", HUB, "--releases", str(tmp_path), *words]
    done = subprocess.run(call, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
