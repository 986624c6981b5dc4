"""Another hub, or what it has exported to a web server: which flists it has, and their bytes."""

import fnmatch
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flist.blocks.codec import check_arrival
from flist.errors import StoreError, StoreUnavailableError
from flist.format.signing.signature import MAX_TEXT_CHARS
from flist.http.client import Client
from flist.http.status import NOT_FOUND, refusal
from flist.hub.names import is_flist, is_repo
from flist.model import Route
from flist.store.http import HttpStore
from flist.store.routed import RoutedStore

if TYPE_CHECKING:
    from flist.store.base import Store

LIST = "api/flist"
MAX_LIST_BYTES = 64 << 20
TRIES = 3
DIGEST = re.compile(r'"([0-9a-f]{64})"')


class Peer:
    """One hub at the URL `url`; `token` is for its private repositories."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self.client = Client(self.url, max_bytes=MAX_LIST_BYTES, tries=TRIES)
        self.secret = f"Bearer {token}" if token else ""

    def names(self, pattern: str = "*") -> list[str]:
        """Return the flists, as REPO/NAME.fl, that a shell pattern matches.

        What cannot be the name of a flist here is left out: the other side is not trusted.
        """
        status, body = self.client.ask("GET", LIST, secret=self.secret)
        if status != 200:
            raise refusal(status, self.client.url)
        try:
            listed = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"cannot understand {self.client.url}: its list is no JSON") from error
        if not isinstance(listed, list):
            raise StoreError(f"cannot understand {self.client.url}: its list is none")
        names = {name for name in listed if isinstance(name, str) and is_place(name)}
        return sorted(name for name in names if fnmatch.fnmatchcase(name, pattern))

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a flist as its ETag says it, "" if that says something else.

        A flist that is not there any more has the digest "absent".
        """
        with self.client.open("HEAD", name, secret=self.secret) as response:
            if response.status in NOT_FOUND:
                return "absent"
            if response.status != 200:
                raise refusal(response.status, self.client.url)
            match = DIGEST.fullmatch(response.header("ETag"))
            return match[1] if match else ""

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a flist."""
        with self.client.open("GET", name, secret=self.secret) as response:
            if response.status != 200:
                raise refusal(response.status, self.client.url)
            yield from response.pieces()

    def signature(self, name: str) -> str | None:
        """Return the text of a flist's signature, or None."""
        status, body = self.client.ask("GET", f"{name}.sig", secret=self.secret)
        if status in NOT_FOUND:
            return None
        if status != 200:
            raise refusal(status, self.client.url)
        if len(body) > MAX_TEXT_CHARS or not body.isascii():
            raise StoreError(f"cannot use {self.client.url}: the signature of {name} is none")
        return body.decode()

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def is_place(name: str) -> bool:
    """Return whether a hub could have a flist of this name, as REPO/NAME."""
    repo, _, file = name.partition("/")
    return is_repo(repo) and is_flist(file)


def open_peer(urls: str, token: str = "") -> tuple[Peer, RoutedStore]:
    """Return the first hub of `urls` (commas between) that answers, and the store of its blocks.

    Blocks come from it, and from the others if it fails. Raises `StoreError` if none answers.
    """
    errors: list[StoreError] = []
    places = [url.strip().rstrip("/") for url in urls.split(",")]
    for url in places:
        peer = Peer(url, token)
        try:
            peer.names()
        except StoreError as error:
            errors.append(error)
            peer.close()
            continue
        order = [url, *(other for other in places if other != url)]
        return peer, open_blocks(order, token)
    raise StoreUnavailableError(errors[0].message) from errors[0]


def open_blocks(urls: list[str], token: str) -> RoutedStore:
    """Return the store of blocks at hubs, of which the first is preferred."""
    routes: list[tuple[Route, Store]] = []
    for url in urls:
        store = HttpStore(f"{url}/blocks")
        if token:
            store.client.secret = f"Bearer {token}"
        routes.append((Route(0, 255, url), store))
    return RoutedStore(routes, check_arrival, is_ordered=True)
