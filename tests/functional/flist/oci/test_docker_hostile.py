"""Registries that redirect, break off, lie or demand a token, and which secrets they receive."""

import base64
import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from flist.errors import StoreError
from flist.http.origin import find_origin
from flist.http.redirects import resolve
from flist.http.urls import split_url
from flist.oci.errors import ImageError
from flist.oci.image import Image, open_layer
from flist.oci.source.auth import Challenge, Credentials, check_server, parse_challenges
from flist.oci.source.reference import parse_reference
from flist.oci.source.registry import Registry
from flist.oci.source.session import Session
from tests.helpers.flist.registry import Built, build_image, build_index, make_layer, member

BASIC = "Basic " + base64.b64encode(b"farmer:secret").decode()
LOGIN = Credentials("farmer", "secret")
LAYER = make_layer(member("a", bytes(range(256)) * 2000))
IMAGE = build_image([LAYER], [""])


class Seen:
    """One server: its answers, and the requests that it received."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str | None, str]] = []
        self.answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.url = ""
        self.host = ""

    def serve(self, built: Built, repository: str = "a/b", tag: str = "1") -> None:
        """Serve an image."""
        base = f"/v2/{repository}"
        for name in (tag, built.digest):
            headers = {"Content-Type": built.media_type}
            self.answers[f"{base}/manifests/{name}"] = reply(200, built.manifest, **headers)
        for digest, blob in built.blobs.items():
            self.answers[f"{base}/blobs/{digest}"] = reply(200, blob)
        for child in built.children:
            self.serve(child, repository, child.digest)

    def secrets(self) -> list[str | None]:
        """Return the received Authorization headers."""
        return [secret for _, _, secret, _ in self.requests]


def reply(
    status: int, body: bytes = b"", **headers: str
) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """Return an answer."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for key, value in headers.items():
            handler.send_header(key.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def guarded(
    wanted: str, challenge: str, inner: Callable[[http.server.BaseHTTPRequestHandler], None]
) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """Return an answer that demands `wanted` as Authorization header."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Authorization") == wanted:
            inner(handler)
        else:
            reply(401, b"{}", WWW_Authenticate=challenge)(handler)

    return answer


class QuietServer(http.server.ThreadingHTTPServer):
    """A server that ignores clients that hang up."""

    def handle_error(self, *_where: object) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[Callable[[], Seen]]:
    """Return a function that starts a server at another port."""
    made = []

    def make() -> Seen:
        seen = Seen()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                secret = self.headers.get("Authorization")
                seen.requests.append((self.command, self.path, secret, body))
                seen.answers.get(urlsplit(self.path).path, reply(404))(self)

            do_POST = do_GET  # noqa: N815 the library's name

            def log_message(self, *words: object) -> None:
                pass

        server = QuietServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        made.append((server, thread))
        seen.host = f"127.0.0.1:{server.server_address[1]}"
        seen.url = f"http://{seen.host}"
        return seen

    yield make
    for server, thread in made:
        server.shutdown()
        thread.join()
        server.server_close()


def find(seen: Seen, credentials: Credentials = LOGIN, tag: str = ":1") -> Image:
    """Find the image of a server, and fetch every layer."""
    reference = parse_reference(f"{seen.host}/a/b{tag}")
    session = Session(reference, credentials, is_insecure=True, first_pause_s=0.01)
    with contextlib.closing(session):
        registry = Registry(session)
        image = registry.find(None)
        for layer in image.layers:
            with open_layer(registry, layer) as stream:
                assert stream.read() == IMAGE.blobs[str(layer.digest)]
    return image


def blob_path(number: int) -> str:
    return "/v2/a/b/blobs/" + list(IMAGE.blobs)[number]


def test_credentials_do_not_follow_a_redirect(servers: Callable[[], Seen]) -> None:
    home, elsewhere = servers(), servers()
    home.serve(IMAGE)
    elsewhere.answers["/bucket"] = reply(200, LAYER)
    home.answers[blob_path(1)] = reply(307, Location=f"{elsewhere.url}/bucket?signature=x")
    for path, inner in list(home.answers.items()):
        home.answers[path] = guarded(BASIC, 'Basic realm="farm"', inner)
    find(home)
    assert elsewhere.secrets() == [None]
    assert home.secrets() == [None, BASIC, BASIC, BASIC]


def test_a_challenge_of_another_server_is_not_answered(servers: Callable[[], Seen]) -> None:
    home, thief = servers(), servers()
    home.serve(IMAGE)
    home.answers[blob_path(1)] = reply(302, Location=f"{thief.url}/x")
    thief.answers["/x"] = guarded("-", f'Bearer realm="{thief.url}/token"', reply(200))
    with pytest.raises(ImageError, match="cannot pull"):
        find(home)
    assert thief.secrets() == [None]


def test_a_token_is_fetched_with_the_credentials_and_used(servers: Callable[[], Seen]) -> None:
    home, service = servers(), servers()
    home.serve(IMAGE)
    challenge = f'Bearer realm="{service.url}/token",service="reg",scope="repository:*:*"'
    for path, inner in list(home.answers.items()):
        home.answers[path] = guarded("Bearer abc", challenge, inner)
    service.answers["/token"] = reply(200, b'{"token": "abc"}')
    find(home)
    (_, path, secret, _) = service.requests[0]
    assert secret == BASIC
    # Only the needed scope is requested, whatever the registry suggests.
    assert parse_qs(urlsplit(path).query) == {"scope": ["repository:a/b:pull"], "service": ["reg"]}
    assert set(home.secrets()) == {None, "Bearer abc"}
    assert len(service.requests) == 1
    find(home, Credentials())
    assert service.requests[1][2] is None


def test_an_identity_token_is_exchanged(servers: Callable[[], Seen]) -> None:
    home = servers()
    home.serve(IMAGE)
    for path, inner in list(home.answers.items()):
        challenge = f'Bearer realm="{home.url}/token"'
        home.answers[path] = guarded("Bearer abc", challenge, inner)
    home.answers["/token"] = reply(200, b'{"access_token": "abc"}')
    find(home, Credentials(identity_token="refresh-me"))
    (form,) = [body for method, _, _, body in home.requests if method == "POST"]
    assert parse_qs(form)["refresh_token"] == ["refresh-me"]
    assert parse_qs(form)["grant_type"] == ["refresh_token"]


def test_a_registry_token_is_sent_as_it_is(servers: Callable[[], Seen]) -> None:
    home = servers()
    home.serve(IMAGE)
    find(home, Credentials(registry_token="mine"))
    assert set(home.secrets()) == {"Bearer mine"}


@pytest.mark.parametrize(
    "answer", [b'{"token": "a\\r\\nX: y"}', b'{"token": 7}', b"{}", b"[]", b"<html>"]
)
def test_invalid_tokens_are_refused(servers: Callable[[], Seen], answer: bytes) -> None:
    home = servers()
    home.answers["/v2/a/b/manifests/1"] = guarded("-", f'Bearer realm="{home.url}/t"', reply(200))
    home.answers["/t"] = reply(200, answer)
    with pytest.raises(ImageError):
        find(home)


def test_redirects_of_a_token_service_are_not_followed(servers: Callable[[], Seen]) -> None:
    home, thief = servers(), servers()
    home.answers["/v2/a/b/manifests/1"] = guarded("-", f'Bearer realm="{home.url}/t"', reply(200))
    home.answers["/t"] = reply(307, Location=f"{thief.url}/t")
    with pytest.raises(ImageError, match="answered 307"):
        find(home)
    assert thief.requests == []


def test_a_broken_transfer_is_resumed(servers: Callable[[], Seen]) -> None:
    home = servers()
    home.serve(IMAGE)
    ranges = []

    def breaking(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        handler.send_response(206 if asked else 200)
        handler.send_header("Content-Length", str(len(LAYER) - start))
        handler.send_header("Content-Range", f"bytes {start}-{len(LAYER) - 1}/{len(LAYER)}")
        handler.end_headers()
        end = len(LAYER) if len(ranges) > 2 else start + 200_000
        handler.wfile.write(LAYER[start:end])
        handler.close_connection = True

    home.answers[blob_path(1)] = breaking
    find(home)
    assert len(ranges) == 3
    assert ranges[0] is None
    assert None not in ranges[1:]


def test_requests_to_a_busy_registry_are_repeated(servers: Callable[[], Seen]) -> None:
    home = servers()
    home.serve(IMAGE)
    inner = home.answers[blob_path(1)]
    waiting = [reply(503), reply(429, Retry_After="0"), reply(500)]
    home.answers[blob_path(1)] = lambda handler: (waiting.pop() if waiting else inner)(handler)
    find(home)
    assert waiting == []


@pytest.mark.parametrize(
    ("number", "body", "said"),
    [
        (1, LAYER + b"more", "more bytes"),
        (1, LAYER[:-512], "has .* bytes, not"),
        (1, LAYER[:-1] + b"x", "other content"),
        (0, b"{}", "bytes, not"),
    ],
)
def test_blobs_with_wrong_content_are_refused(
    servers: Callable[[], Seen], number: int, body: bytes, said: str
) -> None:
    home = servers()
    home.serve(IMAGE)
    home.answers[blob_path(number)] = reply(200, body)
    with pytest.raises(ImageError, match=said):
        find(home)


def test_manifests_with_wrong_content_are_refused(servers: Callable[[], Seen]) -> None:
    home = servers()
    index = build_index([IMAGE])
    home.serve(index)
    path = f"/v2/a/b/manifests/{IMAGE.digest}"
    other = build_image([make_layer(member("b"))])
    home.answers[path] = reply(200, other.manifest, Content_Type=other.media_type)
    for tag in (":1", f"@{IMAGE.digest}"):
        with pytest.raises(ImageError, match="other content"):
            find(home, tag=tag)
    home.answers[path] = reply(200, IMAGE.manifest, Docker_Content_Digest=other.digest)
    with pytest.raises(ImageError, match="not what the registry says"):
        find(home, tag=f"@{IMAGE.digest}")
    home.answers[path] = reply(200, b" " * (5 << 20))
    with pytest.raises(ImageError, match="more than"):
        find(home, tag=f"@{IMAGE.digest}")


@pytest.mark.parametrize("ending", ["prettyjws", "json"])
def test_an_image_of_schema_1_is_refused_with_a_hint(
    servers: Callable[[], Seen], ending: str
) -> None:
    """In old registries, the digest is the hash of the part without signatures."""
    home = servers()
    kind = f"application/vnd.docker.distribution.manifest.v1+{ending}"
    old = {
        "schemaVersion": 1, "name": "a/b", "tag": "1", "architecture": "amd64",
        "fsLayers": [{"blobSum": "sha256:" + "a" * 64}], "history": [{"v1Compatibility": "{}"}],
        "signatures": [],
    }  # fmt: skip
    home.answers["/v2/a/b/manifests/1"] = reply(
        200, json.dumps(old).encode(), Content_Type=kind, Docker_Content_Digest=IMAGE.digest
    )
    with pytest.raises(ImageError) as caught:
        find(home)
    assert kind in caught.value.message
    assert "skopeo copy" in str(caught.value.hint)
    home.answers["/v2/a/b/manifests/1"] = reply(200, json.dumps(old).encode())
    with pytest.raises(ImageError, match=r"manifest\.v1\+json"):
        find(home)


def test_indexes_that_are_nested_too_deeply(servers: Callable[[], Seen]) -> None:
    home = servers()
    built = build_index([IMAGE])
    for _ in range(6):
        built = build_index([built])
    home.serve(built)
    with pytest.raises(ImageError, match="nested"):
        find(home)


def test_circular_and_invalid_redirects(servers: Callable[[], Seen]) -> None:
    home = servers()
    path = "/v2/a/b/manifests/1"
    for target in (path, "file:///etc/passwd", "ftp://x/y", "http:///x", "http://[bad/x"):
        home.answers[path] = reply(302, Location=target)
        with pytest.raises((ImageError, ValueError)) as caught:
            find(home)
        assert isinstance(caught.value, ImageError), target


def test_tls_is_never_replaced_by_plain_http() -> None:
    session = Session(parse_reference("a.example/b"), LOGIN)
    with contextlib.closing(session):
        assert session.client.origin.is_secure
        with pytest.raises(StoreError, match="plain HTTP"):
            resolve(session.client.url, "http://a.example/x", "a.example")
        with pytest.raises(ImageError, match="plain HTTP"):
            session.get_token(Challenge("bearer", {"realm": "http://a.example/token"}))


def test_layers_are_never_fetched_from_foreign_urls(servers: Callable[[], Seen]) -> None:
    home, elsewhere = servers(), servers()
    manifest = json.loads(IMAGE.manifest)
    manifest["layers"][0]["urls"] = [f"{elsewhere.url}/layer"]
    home.serve(IMAGE._replace(manifest=json.dumps(manifest).encode()))
    image = find(home)  # the registry itself has the layer
    del home.answers[f"/v2/a/b/blobs/{image.layers[0].digest}"]
    with pytest.raises(ImageError, match="foreign URLs"):
        find(home)
    assert elsewhere.requests == []


def test_error_messages_of_a_registry_are_escaped(servers: Callable[[], Seen]) -> None:
    home = servers()
    body = json.dumps({"errors": [{"code": "DENIED", "message": "no\x1b[31m entry"}]}).encode()
    home.answers["/v2/a/b/manifests/1"] = reply(403, body)
    with pytest.raises(ImageError) as caught:
        find(home)
    assert r"no\x1b[31m entry" in caught.value.message
    assert caught.value.hint is not None


def test_challenges_and_origins() -> None:
    (found,) = parse_challenges(
        ['Bearer realm="https://a/t?x=1,2", service=reg, scope="a \\"b\\""']
    )
    assert found.scheme == "bearer"
    assert found.parameters == {"realm": "https://a/t?x=1,2", "service": "reg", "scope": 'a "b"'}
    assert "secret" not in repr(LOGIN)
    first, second = (find_origin(split_url(url)) for url in ("HTTPS://A/x", "https://a:443/"))
    assert first.url == second.url == "https://a:443"
    check_server(parse_reference("redis"), "https://index.docker.io/v1/")
