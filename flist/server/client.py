"""A client of upstream's rfs server and of our hub.

What is uploaded is not encrypted: everyone who can read from the server can read the files.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flist.errors import BlockError, StoreError
from flist.http.client import NO_HEADERS, Client
from flist.http.status import DENIED, DONE, NOT_FOUND, is_later, refusal, write_refusal
from flist.server import api
from flist.server.names import MAX_BLOCK_BYTES, name_block
from flist.server.signin import signed_message

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

JSON = {"Content-Type": "application/json"}
BINARY = {"Content-Type": "application/octet-stream"}


class ServerClient:
    """Talks to the server of `http` as the user of `token`; raises `StoreError` and its kinds."""

    def __init__(self, http: Client, token: str = "") -> None:
        self.http = http
        self.use(token)

    def use(self, token: str) -> None:
        """Be the user of another token from now on."""
        self.secret = f"Bearer {token}" if token else ""

    @property
    def url(self) -> str:
        """The server's URL, without secrets."""
        return self.http.url

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def ask_json(self, method: str, path: str, body: object = None) -> Any:
        """Return the JSON answer to a request, or None for 404 and 410."""
        data = None if body is None else json.dumps(body).encode()
        headers = NO_HEADERS if data is None else JSON
        status, answer = self.http.ask(method, path, data, headers, secret=self.secret)
        if status in NOT_FOUND:
            return None
        if status in DENIED:
            raise StoreError(
                f"cannot ask {self.url}: it refused",
                hint="--token, $RFS_TOKEN, `login`, or the password",
            )
        if status not in DONE:
            raise write_refusal(status, self.url, answer)
        return self.parse(answer)

    def parse(self, answer: bytes) -> Any:
        """Return the JSON in an answer."""
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"cannot understand {self.url}: it answered no JSON") from error

    def has_block(self, name: str) -> bool:
        """Return whether the server has a block."""
        status, _ = self.http.ask("HEAD", api.block_path(name))
        if status not in (200, *NOT_FOUND):
            raise refusal(status, self.url)
        return status == 200

    def get_block(self, name: str) -> bytes:
        """Return a block; raises `BlockError` if its bytes have another hash."""
        status, data = self.http.ask("GET", api.block_path(name))
        if status != 200:
            raise refusal(status, self.url)
        if name_block(data) != name:
            raise BlockError(f"block {name} is refused: its bytes have another hash")
        return data

    def put_block(self, data: bytes, file_hash: str, index: int) -> None:
        """Upload block `index` of a file."""
        self.send("POST", api.upload_path(file_hash, index), data)

    def put_flist(self, name: str, data: bytes) -> None:
        """Publish a flist, or its signature, as REPO/NAME.fl[.sig]: only our hub accepts these."""
        self.send("PUT", name, data)

    def roll_back(self, name: str, digest: str) -> None:
        """Publish a version of the flist REPO/NAME.fl again, which our hub has kept."""
        body = json.dumps({"digest": digest}).encode()
        status, answer = self.http.ask(
            "POST", f"{api.ROLLBACK}/{name}", body, JSON, secret=self.secret
        )
        if status not in DONE:
            raise write_refusal(status, self.url, answer)

    def send(self, method: str, path: str, data: bytes) -> None:
        """Send bytes to the server."""
        status, answer = self.http.ask(method, path, data, BINARY, secret=self.secret)
        if status not in DONE:
            raise write_refusal(status, self.url, answer)

    def verify(self, names: Sequence[str]) -> list[str]:
        """Return which of at most `MAX_PER_PAGE` blocks the server calls missing: all, if it
        does not answer that question.

        Upstream's server knows only the blocks of one user: what it calls missing may be there.
        """
        question = api.make_question(names)
        status, answer = self.http.ask("POST", api.VERIFY, question, JSON, secret=self.secret)
        if is_later(status):
            raise refusal(status, self.url)
        return api.read_missing(self.parse(answer), names) if status == 200 else list(names)

    def missing(self, names: Sequence[str]) -> set[str]:
        """Return which blocks the server does not have."""
        found: set[str] = set()
        for start in range(0, len(names), api.MAX_PER_PAGE):
            found.update(self.verify(names[start : start + api.MAX_PER_PAGE]))
        return {name for name in found if not self.has_block(name)}

    def blocks_of(self, file_hash: str) -> list[str]:
        """Return the names of a file's blocks, in order; none if the server does not have it."""
        answer = self.ask_json("GET", api.file_path(file_hash))
        return [] if answer is None else api.read_file(answer)

    def all_blocks(self) -> Iterator[str]:
        """Yield the names of all blocks of the server."""
        return self.pages(api.BLOCKS)

    def own_blocks(self) -> Iterator[str]:
        """Yield the names of the blocks that the token's user has there."""
        return self.pages(api.OWN_BLOCKS)

    def pages(self, path: str) -> Iterator[str]:
        """Yield the names in a list of blocks, each once."""
        known: set[str] = set()
        page = 1
        while True:
            answer = self.ask_json("GET", api.page_path(path, page))
            names = [] if answer is None else api.read_names(answer)
            new = [name for name in dict.fromkeys(names) if name not in known]
            known.update(new)
            yield from new
            # Upstream's server gives the whole list, whatever page is requested.
            if len(names) < api.MAX_PER_PAGE or not new:
                return
            page += 1

    def downloads(self, name: str) -> tuple[int, int] | None:
        """Return how often a block was fetched and how many bytes it has; None: it is not there."""
        answer = self.ask_json("GET", api.downloads_path(name))
        return None if answer is None else api.read_downloads(answer)

    def sign_in(
        self, username: str, password: str, wish: Mapping[str, object] | None = None
    ) -> str:
        """Return a token for a user's name and password; our hub also takes a `wish`: `days`,
        `scopes`."""
        body = {"username": username, "password": password, **(wish or {})}
        return api.read_token(self.ask_json("POST", api.SIGN_IN, body))

    def sign_in_by_key(
        self, username: str, key: "Ed25519PrivateKey", wish: Mapping[str, object]
    ) -> str:
        """Return a token for a user who holds a key; only our hub has that."""
        answer = self.ask_json("POST", api.CHALLENGE, {"username": username})
        nonce = api.read_nonce(answer)
        signed = signed_message(api.host_of(self.url), username, nonce)
        proof = {"nonce": nonce, "signature": key.sign(signed).hex()}
        body = {"username": username, **proof, **wish}
        return api.read_token(self.ask_json("POST", api.SIGN_IN, body))

    def sign_out(self) -> None:
        """Make the token invalid."""
        status, _ = self.http.ask("POST", api.SIGN_OUT, b"", secret=self.secret)
        if status not in (*DONE, 204):
            raise write_refusal(status, self.url)

    def user_name(self) -> str:
        """Return whose token it is, which our hub tells."""
        return api.read_name(self.ask_json("GET", api.ACCOUNT))


def open_client(url: str, token: str = "") -> ServerClient:
    """Return a client of the server at `url`."""
    return ServerClient(Client(url, max_bytes=MAX_BLOCK_BYTES), token)
