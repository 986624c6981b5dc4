"""Clients that are slow, silent, endless, half gone or hostile don't stop the others."""

import contextlib
import resource
import socket
from pathlib import Path

import psutil
import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zdb.served import Raw, Served, ask, pack, serving

MIB = 1 << 20


def rss(server: Served) -> int:
    """Return the server's memory in bytes."""
    return int(psutil.Process(server.process.pid).memory_info().rss)


def test_a_client_that_never_reads_is_not_read_from_and_ends(tmp_path: Path) -> None:
    with serving(tmp_path, "--write-timeout", "2") as server, Raw(server.port) as slow:
        ask(server.port, "SET", "big", b"x" * 4 * MIB)
        before = rss(server)
        slow.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            while True:
                slow.send(pack("GET", "big") * 100)
        assert ask(server.port, "PING") == "+PONG"
        assert rss(server) - before < 40 * MIB
        slow.socket.settimeout(60)
        wait_until(lambda: not has_connection(server, slow), "the slow client's end", 30)


def test_many_clients_that_ask_for_much_at_once(tmp_path: Path) -> None:
    words = ("--max-buffered-bytes", str(32 * MIB))
    with serving(tmp_path, *words) as server, contextlib.ExitStack() as stack:
        ask(server.port, "SET", "big", b"x" * 6 * MIB)
        before = rss(server)
        clients = [stack.enter_context(Raw(server.port)) for _ in range(12)]
        for client in clients:
            client.send(pack("MGET", *["big"] * 10))
        assert ask(server.port, "PING") == "+PONG"
        assert peak(server) - before < 400 * MIB


def peak(server: Served) -> int:
    """Return the most memory that the server has had, in bytes."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


def has_connection(server: Served, client: Raw) -> bool:
    """Return whether the server still has a client's connection."""
    port = client.socket.getsockname()[1]
    found = psutil.Process(server.process.pid).net_connections("tcp")
    return any(c.raddr and c.raddr.port == port for c in found)


def test_pipelined_replies_come_in_order_through_a_slow_reader(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Raw(server.port) as client:
        client.ask("SET", "big", b"x" * MIB)
        client.send(b"".join(pack("GET", "big") + pack("LENGTH", f"k{n}") for n in range(64)))
        client.send(pack("PING"))
        for _ in range(64):
            assert client.reply() == b"x" * MIB
            assert client.reply() is None
        assert client.reply() == "+PONG"


def test_a_request_that_stops_halfway_ends(tmp_path: Path) -> None:
    with serving(tmp_path, "--request-timeout", "1") as server:
        with Raw(server.port) as half, Raw(server.port) as idle:
            assert idle.ask("PING") == "+PONG"
            half.send(b"*2\r\n$3\r\nGET\r\n$5\r\nab")
            assert half.is_closed()
            assert idle.ask("PING") == "+PONG"  # who asks for nothing may take its time


def test_idle_connections_end_if_that_is_wished(tmp_path: Path) -> None:
    with serving(tmp_path, "--idle-timeout", "1") as server, Raw(server.port) as idle:
        assert idle.ask("PING") == "+PONG"
        assert idle.is_closed()


def test_a_client_that_ends_its_side_gets_its_replies(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Raw(server.port) as client:
        client.ask("SET", "big", b"x" * MIB)
        client.send(pack("GET", "big") * 20)
        client.socket.shutdown(socket.SHUT_WR)
        for _ in range(20):
            assert client.reply() == b"x" * MIB
        assert client.is_closed()


def test_unfinished_requests_have_a_limit_together(tmp_path: Path) -> None:
    words = ("--max-buffered-bytes", str(32 * MIB))
    with serving(tmp_path, *words) as server:
        before = rss(server)
        clients = [Raw(server.port) for _ in range(12)]
        head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (8 * MIB)
        for client in clients:
            try:
                client.send(head + b"x" * 7 * MIB)
            except OSError:
                continue
        assert ask(server.port, "PING") == "+PONG"
        assert rss(server) - before < 60 * MIB
        for client in clients:
            client.socket.close()


def test_the_longest_idle_connection_makes_room(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-connections", "4") as server:
        clients = [Raw(server.port) for _ in range(4)]
        for client in clients:
            assert client.ask("PING") == "+PONG"
        with Raw(server.port) as late:
            assert late.reply() == "-Too many connections"
            assert late.is_closed()
        clients.pop().socket.close()
        wait_until(lambda: ask(server.port, "PING") == "+PONG", "a place")
        for client in clients:
            client.socket.close()


def test_a_process_without_descriptors_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Raw(server.port) as client:
        assert client.ask("PING") == "+PONG"
        count = psutil.Process(server.process.pid).num_fds()
        soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (count, hard))
        with Raw(server.port) as late:
            assert client.ask("SET", "k", "v") in (b"k", "-Cannot write data right now")
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
            assert late.ask("PING") == "+PONG"


def test_a_flood_of_malformed_and_lost_connections(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        count = psutil.Process(server.process.pid).num_fds()
        for turn in range(300):
            with Raw(server.port) as client:
                client.send((b"*0\r\n", b"*3\r\n$3\r\nSE", b"GET / HTTP/1.1\r\n\r\n")[turn % 3])
                if turn % 2:
                    linger = b"\1\0\0\0\0\0\0\0"  # on, 0 seconds: the end is a reset
                    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        assert ask(server.port, "PING") == "+PONG"
        wait_until(
            lambda: psutil.Process(server.process.pid).num_fds() <= count + 1, "closed descriptors"
        )


def test_a_late_mirror_is_dropped(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Raw(server.port) as mirror, Raw(server.port) as writer:
        assert mirror.ask("MIRROR") == "+Starting mirroring"
        before = rss(server)
        for number in range(24):
            assert writer.ask("SET", f"k{number}", b"%d" % number * 4 * MIB)
        assert rss(server) - before < 160 * MIB
        wait_until(lambda: not has_connection(server, mirror), "the mirror's end", 30)
        assert writer.ask("DBSIZE") == ":24"
