"""The repository of a store, verified when it is opened, and changes to it as values."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tuf.api.metadata import Metadata, Root, Snapshot, T, Targets, Timestamp

from common.releases.channel import HISTORY, Channel, digest_of, interpret
from common.releases.layout import Layout
from common.tuf.client import demand, open_session, read_role
from common.tuf.errors import SignatureError
from common.tuf.metadata import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from common.tuf.trust import Session, Trusted
from image.channel.history import MAX_BYTES, Entry, parse_history
from image.channel.roles import CHANNELS, DAY_S, lifetime_s
from image.errors import ImageError

CLOCK_SLACK_S = DAY_S  # how far the clocks of two publishers may differ


@dataclass
class Change:
    """New metadata, not yet published: a root, and targets by role; `what` is for people.

    With `is_forced`, it may expire before what it replaces.
    """

    what: str
    root: Metadata[Root] | None = None
    targets: dict[str, Metadata[Targets]] = field(default_factory=dict)
    is_forced: bool = False

    def files(self) -> Iterator[tuple[str, Metadata[Any]]]:
        """Yield all metadata with its role."""
        yield from self.targets.items()
        if self.root is not None:
            yield ROOT, self.root


@dataclass
class Repository:
    """The newest metadata of a store, each part verified but for its expiry."""

    layout: Layout
    roots: list[bytes]  # from the trusted one to the newest
    root: Metadata[Root]
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: Metadata[Targets]
    roles: dict[str, Metadata[Targets]]
    channels: dict[str, Channel]

    def role(self, name: str) -> Metadata[Targets]:
        """Return the newest metadata of `targets` or of a channel."""
        return self.targets if name == TARGETS else self.roles[name]

    def history(self, channel: str) -> bytes:
        """Return the history of a channel, verified."""
        info = self.channels[channel].history
        data = self.layout.read(digest_of(info), MAX_BYTES)
        info.check(f"{channel}/{HISTORY}", data)
        return data

    def entries(self, channel: str) -> list[Entry]:
        """Return the changes of a channel, oldest first."""
        return parse_history(self.history(channel), channel)


def is_initialised(layout: Layout) -> bool:
    """Return whether the store has a repository."""
    return layout.metadata("timestamp.json").exists()


def open_repository(layout: Layout, root: bytes | None = None) -> Repository:
    """Verify the repository from the trusted `root`, or the store's first one, and return it."""
    if not is_initialised(layout):
        raise ImageError(
            f"cannot use {layout}: it has no channels", hint="`zos image keys init` makes them"
        )
    roots = read_roots(layout, root or demand(layout.fetch, "1.root.json", 1 << 20))
    try:
        return load(layout, roots, roots[-1])
    except SignatureError:
        # Killed between a root with new keys and what these sign (`commit.write`).
        if len(roots) == 1:
            raise
        return load(layout, roots, roots[-2])


def read_roots(layout: Layout, trusted: bytes) -> list[bytes]:
    """Return the chain of roots from the trusted one to the newest."""
    session, roots = Session(Trusted(trusted), None), [trusted]
    while data := layout.fetch(f"{session.root.version + 1}.root.json", 1 << 20):
        session.update_root(data)
        roots.append(data)
    return roots


def load(layout: Layout, roots: list[bytes], root: bytes) -> Repository:
    """Return the repository whose newest parts the keys of `root` have signed."""
    texts: dict[str, bytes] = {}

    def fetch(name: str, limit: int) -> bytes | None:
        data = None if name.endswith(".root.json") else layout.fetch(name, limit)
        texts[name.rpartition(".json")[0].rpartition(".")[2]] = data or b""
        return data

    session = open_session(Trusted(root), fetch, None)
    found = {name: read_role(session, name, fetch) for name in CHANNELS}
    return Repository(
        layout,
        roots,
        Metadata[Root].from_bytes(roots[-1]),
        Metadata[Timestamp].from_bytes(texts[TIMESTAMP]),
        Metadata[Snapshot].from_bytes(texts[SNAPSHOT]),
        Metadata[Targets].from_bytes(texts[TARGETS]),
        {name: Metadata[Targets].from_bytes(texts[name]) for name in CHANNELS},
        {name: interpret(name, row) for name, row in found.items()},
    )


def renew(metadata: Metadata[T], role: str, now: float, *, is_forced: bool = False) -> Metadata[T]:
    """Return a copy with the next version and a new expiry, not signed.

    One that expires earlier is refused, unless `is_forced`: a clock must have been wrong.
    """
    new = Metadata[T].from_bytes(metadata.to_bytes())
    new.signatures.clear()
    new.signed.version += 1
    new.signed.expires = datetime.fromtimestamp(now + lifetime_s(role), UTC)
    before = metadata.signed.expires.timestamp()
    if new.signed.expires.timestamp() < before - CLOCK_SLACK_S and not is_forced:
        raise ImageError(
            f"cannot sign {role}: the last signature is valid for longer than a new one would be",
            hint=f"either this clock is behind (`date`), or that of the last publisher was ahead; "
            f"then `zos image renew --force --role {role}`",
        )
    return new
