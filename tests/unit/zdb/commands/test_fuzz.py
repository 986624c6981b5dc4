"""Any request gets one reply that a client can read, and the service goes on."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.zdb.inside import Desk, desk
from zdb.commands.service import Rules
from zdb.commands.table import make_table

NAMES = sorted(make_table())
WORDS = st.one_of(
    st.sampled_from([b"", b"a", b"b", b"default", b"one", b"two", b"1", b"0", b"*", b"-1", b"RAW"]),
    st.sampled_from([b"DIRTY", b"RESET", b"SECURE", b"CHALLENGE", b"SET", b"100", b"maxsize"]),
    st.sampled_from(
        [b"mode", b"seq", b"user", b"password", b"public", b"worm", b"lock", b"\0" * 8]
    ),
    st.binary(max_size=20),
    st.just(b"k" * 256),
    st.just(bytes(17)),
)
REQUESTS = st.tuples(
    st.sampled_from(NAMES) | st.binary(max_size=6), st.lists(WORDS, max_size=5)
).map(lambda pair: (pair[0], *pair[1]))


def read_reply(data: bytes, at: int) -> int:
    """Return where the reply at `at` ends; raise if it is none."""
    end = data.index(b"\r\n", at)
    kind, rest = data[at : at + 1], data[at + 1 : end]
    assert b"\n" not in rest
    at = end + 2
    if kind == b"*":
        for _ in range(int(rest)):
            at = read_reply(data, at)
        return at
    if kind == b"$":
        if rest == b"-1":
            return at
        at += int(rest) + 2
        assert data[at - 2 : at] == b"\r\n"
        return at
    assert kind in (b"+", b"-", b":")
    return at


def run(inside: Desk, requests: list[tuple[bytes, ...]]) -> None:
    """Run requests of two clients in turn."""
    clients = [inside.client(), inside.client()]
    for turn, request in enumerate(requests):
        client = clients[turn % 2]
        for reply in inside.turn(client, request):
            assert read_reply(reply, 0) == len(reply)
        if client.is_ending:
            inside.service.leave(client)
            clients[turn % 2] = inside.client()
    for client in clients:
        inside.service.leave(client)
    assert not inside.service.clients


@settings(max_examples=150, deadline=None)
@given(st.lists(REQUESTS, max_size=25), st.booleans())
def test_any_requests(requests: list[tuple[bytes, ...]], is_debug: bool) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        desk(Path(folder), Rules(is_debug=is_debug), file_size=1 << 16, sync="never") as inside,
    ):
        run(inside, requests)
