"""What clients send who mean no good, to a real server: every address with every odd name."""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.helpers.flist.hub import TOKEN, fetch, make_flist, make_root
from tests.helpers.flist.mount import Hub, serving
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(900)
SECRET = "what is beside the hub's files"
ODD = (
    "..", "%2e%2e", "..%2f..%2fmarker", "..%5c..%5cmarker", "%2fetc%2fpasswd", "%00", "tree.fl%00",
    "a%0d%0aX-Evil:%20yes", "x" * 255, "%e2%80%ae.fl", "%ff%fe", "~", "*", "%25", "-", "",
)  # fmt: skip
PAGES = (
    "/{repo}", "/{repo}/{name}.md", "/{repo}/tags/{tag}", "/{repo}/{name}/files", "/-/{name}.css",
    "/alice/tree.fl/files/{path}", "/alice/tree.fl/raw/{path}", "/alice/tree.fl/changes?from={old}",
    "/alice/tree.fl?version={digest}", "/login?next={place}", "/alice/tree.fl/files?q={text}",
)  # fmt: skip
STREAMS = ("/events",)
HALVES = (
    ("POST", "/api/v1/file", "application/octet-stream", ""),
    ("PUT", "/me/half.fl", "application/octet-stream", ""),
    ("POST", "/api/v1/block", "application/octet-stream", ""),
    ("POST", "/api/flist/me/upload", "multipart/form-data; boundary=b",
     '--b\r\nContent-Disposition: form-data; name="file"; filename="half.tar.gz"\r\n\r\n'),
)  # fmt: skip


@dataclass(frozen=True)
class Site:
    """A server, and its folder."""

    hub: Hub
    root: Path
    log: Path

    def talk(self) -> http.client.HTTPConnection:
        """Return a connection to the server."""
        place = urlsplit(self.hub.url)
        return http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)


@pytest.fixture(name="site", scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a hub with a flist, in a folder beside which there is a secret."""
    folder = tmp_path_factory.mktemp("hostile")
    root, log = make_root(folder / "hub"), folder / "log"
    for place in (folder / "marker", root / "marker", root / "blocks" / "marker"):
        place.parent.mkdir(exist_ok=True)
        place.write_text(SECRET)
    with serving(root, "127.0.0.1:0", "--sign-in-per-minute", "0") as hub:
        site = Site(hub, root, log)
        ask(site, "PUT", "/me/tree.fl", make_flist(folder, root, "content"))
        yield site


def ask(site: Site, method: str, path: str, body: bytes = b"") -> http.client.HTTPResponse:
    """Return the answer to a request of the administrator, which has been read."""
    talk = site.talk()
    head = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    talk.request(method, path, body or None, head)
    answer = talk.getresponse()
    answer.said = answer.read()  # type: ignore[attr-defined]
    talk.close()
    return answer


def list_addresses(site: Site) -> list[tuple[str, str]]:
    """Return method and address of everything that has a name in it."""
    paths = json.loads(fetch(f"{site.hub.url}/api/openapi.json"))["paths"]
    described = [(method.upper(), path) for path, row in paths.items() for method in row]
    every = [*described, *(("GET", page) for page in PAGES)]
    return [(method, path) for method, path in every if "{" in path]


def fill(path: str, name: str) -> str:
    """Return an address with the same name in all places."""
    return re.sub(r"\{[^}]*\}", lambda _: name, path)


def test_odd_names_reach_nothing_and_break_nothing(site: Site) -> None:
    addresses = list_addresses(site)
    assert len(addresses) > 70
    faults = []
    for method, path in addresses:
        for name in ODD:
            if path.endswith(STREAMS):
                continue
            answer = ask(site, method, fill(path, name), b"{}" if method != "GET" else b"")
            said = answer.said  # type: ignore[attr-defined]
            is_bad = answer.status >= 500 or SECRET.encode() in said or answer.headers["X-Evil"]
            if is_bad or (place := answer.headers["Location"] or "/").startswith(("//", "/\\")):
                faults.append(f"{method} {path} with {name!r}: {answer.status} {said[:200]!r}")
            elif "://" in place:
                faults.append(f"{method} {path} with {name!r} leads to {place}")
    assert not faults, "\n".join(faults)
    assert fetch(f"{site.hub.url}/me/tree.fl")


def test_half_uploads_leave_nothing(site: Site) -> None:
    before = sorted(site.root.rglob("*"))
    place = urlsplit(site.hub.url)
    for method, path, kind, begin in HALVES * 5:
        head = f"{method} {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {TOKEN}\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: 1000000\r\n\r\n{begin}"
        with socket.create_connection((str(place.hostname), place.port), 30) as sock:
            sock.sendall(head.encode() + bytes(200_000))
    wait_until(lambda: names(site.root) == names(site.root, before), "an end of the uploads", 60)


def names(root: Path, every: list[Path] | None = None) -> list[Path]:
    """Return the files of a hub, without those of its database."""
    found = sorted(root.rglob("*")) if every is None else every
    return [path for path in found if not path.name.startswith("hub.db")]
