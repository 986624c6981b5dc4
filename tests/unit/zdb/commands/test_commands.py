"""Commands beyond what the recording of upstream shows."""

from pathlib import Path

import pytest

from tests.helpers.zdb.inside import FullDisk, desk
from zdb.commands.keys import MAX_REPLY
from zdb.commands.service import FULL_BYTES, Rules
from zdb.protocol.requests import Request  # noqa: TC001

OK, NIL = b"+OK\r\n", b"$-1\r\n"


def test_a_failed_commit_makes_errors_of_the_replies_that_promised_it(tmp_path: Path) -> None:
    disk = FullDisk()
    with desk(tmp_path, disk=disk, retry_s=0) as inside:
        client, other = inside.client(), inside.client()
        assert inside.ask(client, "SET", "before", "1") == b"$6\r\nbefore\r\n"
        disk.is_full = True
        answers = inside.turn(
            client, ("SET", "a", "1"), ("GET", "a"), ("DEL", "before"), ("GET", "before")
        )
        refusal = b"-Cannot write data right now\r\n"
        assert answers == [refusal, b"$1\r\n1\r\n", refusal, NIL]
        assert inside.ask(other, "GET", "a") == NIL
        disk.is_full = False
        assert inside.ask(other, "GET", "before") == b"$1\r\n1\r\n"
        assert inside.ask(other, "SET", "a", "2") == b"$1\r\na\r\n"


def test_other_namespaces_do_not_suffer_from_a_namespace_that_fails(tmp_path: Path) -> None:
    with desk(tmp_path) as inside:
        client, other = inside.client(), inside.client()
        inside.turn(client, ("NSNEW", "a"), ("SELECT", "a"))
        bad = inside.service.store.namespaces["default"]
        inside.service.run(client, [(b"SET", b"k", b"v")])
        inside.service.run(other, [(b"SET", b"k", b"v")])
        bad.commit = lambda now: False  # type: ignore[method-assign]
        inside.service.commit()
        assert inside.take(client) == [b"$1\r\nk\r\n"]
        assert inside.take(other) == [b"-Cannot write data right now\r\n"]


def test_replies_have_a_limit_and_the_rest_waits(tmp_path: Path) -> None:
    with desk(tmp_path) as inside:
        client = inside.client()
        inside.ask(client, "SET", "big", b"x" * FULL_BYTES)
        requests: list[Request] = [(b"GET", b"big")] * 5
        assert inside.service.run(client, requests) == 1
        assert len(client.replies) == 1


def test_mget_has_a_limit(tmp_path: Path) -> None:
    with desk(tmp_path) as inside:
        client = inside.client()
        inside.ask(client, "SET", "big", b"x" * (MAX_REPLY // 8 - 1024))
        assert inside.ask(client, "MGET", *["big"] * 8).startswith(b"*8\r\n")
        assert inside.ask(client, "MGET", *["big"] * 9).startswith(b"-Values too big")


@pytest.mark.parametrize("word", ["lock", "freeze", "worm"])
def test_flush_takes_nothing_that_is_protected(tmp_path: Path, word: str) -> None:
    with desk(tmp_path) as inside:
        client = inside.client()
        inside.turn(client, ("NSNEW", "f"), ("NSSET", "f", "password", "pw"))
        inside.turn(client, ("SELECT", "f", "pw"), ("SET", "k", "v"), ("NSSET", "f", "public", "0"))
        assert inside.ask(client, "NSSET", "f", word, "1") == OK
        assert inside.ask(client, "FLUSH").startswith(b"-")
        assert inside.ask(client, "NSSET", "f", word, "0") == OK
        assert inside.ask(client, "GET", "k") == b"$1\r\nv\r\n"
        assert inside.ask(client, "FLUSH") == OK
        assert inside.ask(client, "DBSIZE") == b":0\r\n"


def test_a_master_without_an_owner_is_refused(tmp_path: Path) -> None:
    with desk(tmp_path) as inside:
        client = inside.client()
        inside.ask(client, "MASTER")
        assert inside.ask(client, "PING") == b"-Missing arguments\r\n"
        assert inside.ask(client, "PING", "x") == b"-Missing arguments\r\n"
        assert inside.ask(client, "PING", "99999999999") == b"-Missing arguments\r\n"
        assert inside.ask(client, "PING", "7") == b"+PONG\r\n"


def test_mirrors_see_requests_but_no_passwords(tmp_path: Path) -> None:
    with desk(tmp_path, Rules(instance=9)) as inside:
        mirror, client, master = inside.client(), inside.client(), inside.client()
        inside.ask(mirror, "MIRROR")
        inside.turn(client, ("AUTH", "secret"), ("SELECT", "default", "secret"), ("NOTHING",))
        assert inside.take(mirror) == []
        inside.ask(client, "SET", "k", "v")
        frame = b"".join(inside.take(mirror))
        assert frame.startswith(b"*6\r\n:")
        assert frame.endswith(b"\r\n$7\r\ndefault\r\n:9\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")
        inside.turn(master, ("MASTER",))
        inside.take(mirror)
        inside.turn(master, ("SET", "k", "w", "0"))  # owner 0 is for this server alone
        assert inside.take(mirror) == []
        inside.turn(master, ("SET", "k", "x", "5"))
        assert b"\r\n:5\r\n" in b"".join(inside.take(mirror))
        inside.ask(mirror, "SET", "own", "1")
        assert inside.take(mirror) == []


def test_a_client_of_a_deleted_namespace_waits_no_longer(tmp_path: Path) -> None:
    with desk(tmp_path) as inside:
        admin, client = inside.client(), inside.client()
        inside.ask(admin, "NSNEW", "w")
        inside.turn(client, ("SELECT", "w"), ("WAIT", "SET", "60000"))
        assert client.wait is not None
        assert inside.ask(admin, "NSDEL", "w") == OK
        assert client.wait is None
        assert not inside.service.waiting
        assert inside.ask(client, "GET", "k").startswith(b"-Your active namespace")
        assert client.is_ending


def test_a_promise_before_nsdel_is_kept_apart_from_a_later_failure(tmp_path: Path) -> None:
    disk = FullDisk()
    with desk(tmp_path, disk=disk, retry_s=0) as inside:
        client = inside.client()
        inside.ask(client, "NSNEW", "gone")
        inside.service.run(client, [(b"SET", b"k", b"v"), (b"NSDEL", b"gone")])
        disk.is_full = True
        inside.service.run(client, [(b"SET", b"later", b"v")])
        inside.service.commit()
        assert inside.take(client) == [b"$1\r\nk\r\n", OK, b"-Cannot write data right now\r\n"]


def test_a_challenge_serves_once(tmp_path: Path) -> None:
    with desk(tmp_path, Rules(admin=b"rootpw")) as inside:
        client = inside.client()
        assert inside.ask(client, "AUTH", "SECURE", "CHALLENGE")[:1] == b"+"
        assert inside.ask(client, "AUTH", "SECURE", "0" * 40) == b"-Access denied\r\n"
        assert inside.ask(client, "AUTH", "SECURE", "0" * 40).startswith(b"-No CHALLENGE")
        assert not client.is_admin


@pytest.mark.parametrize("quota", ["-1", "9" * 30])
def test_a_quota_that_is_none_is_refused(tmp_path: Path, quota: str) -> None:
    with desk(tmp_path) as inside:
        client = inside.client()
        inside.ask(client, "NSNEW", "q")
        assert inside.ask(client, "NSSET", "q", "maxsize", "10") == OK
        assert inside.ask(client, "NSSET", "q", "maxsize", quota).startswith(b"-Invalid property")
        assert inside.service.store.namespaces["q"].maxsize == 10


@pytest.mark.parametrize("name", ["zdb-replica", "zdb-checkpoint", ".zdb-x.tmp"])
def test_no_namespace_has_the_name_of_a_file_of_ours(tmp_path: Path, name: str) -> None:
    with desk(tmp_path) as inside:
        assert inside.ask(inside.client(), "NSNEW", name).startswith(b"-")
