"""A replica: the same bytes as its master, whatever is stopped; and what it takes over."""

import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helpers.serving.certificates import make_authority
from tests.helpers.waiting import wait_until
from tests.helpers.zdb.served import REPLICATE, Raw, Served, pack, serving

SMALL = ("--file-size", "65536")
FAST = (*SMALL, "--poll-seconds", "0.01")


def folder(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir(exist_ok=True)
    return path


def replica(  # type: ignore[no-untyped-def]
    tmp_path: Path, master: Served | int, *words: str, name: str = "replica", **env: str
):
    port = master if isinstance(master, int) else master.port
    own = [word for word in words if word.startswith("--master=")] or [
        f"--master=redis://127.0.0.1:{port}"
    ]
    rest = [word for word in words if not word.startswith("--master=")]
    return serving(folder(tmp_path, name), *own, *FAST, *rest, call=REPLICATE, count=1, **env)


def fill(client: Raw, seed: int, count: int = 300) -> None:
    """Change the namespace that a client is in."""
    chance = random.Random(seed)
    for _ in range(count):
        key = b"k%d" % chance.randrange(100)
        if chance.random() < 0.2:
            client.send(pack("DEL", key))
        else:
            client.send(pack("SET", key, chance.randbytes(chance.randrange(600))))
    for _ in range(count):
        client.reply()


def status(client: Raw) -> dict[str, str]:
    lines = [line.decode().partition(": ") for line in client.ask("REPLICA", "STATUS")]
    return {name: value for name, _, value in lines}


def wait_for_copy(master: Served, copy: Served, timeout_s: float = 60) -> None:
    """Wait until a replica has all of its master."""

    def is_same() -> bool:
        with Raw(master.port) as one, Raw(copy.port) as two:
            names = one.ask("NSLIST")
            if names != two.ask("NSLIST"):
                return False
            return all(ends(one, name) == ends(two, name) for name in names)

    wait_until(is_same, "the copy", timeout_s)


def ends(client: Raw, name: bytes) -> list[bytes]:
    lines: list[bytes] = client.ask("NSINFO", name).splitlines()
    wanted = (b"entries", b"data_current", b"public", b"worm", b"password", b"data_limits", b"mode")
    return [line for line in lines if line.startswith(wanted)]


def files(top: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(top)): path.read_bytes()
        for path in (top / "disk").rglob("*")
        if path.is_file() and path.name != "zdb-replica"
    }


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Served, Served]]:
    with ExitStack() as stack:
        master = stack.enter_context(serving(folder(tmp_path, "master"), *SMALL))
        yield master, stack.enter_context(replica(tmp_path, master))


def test_a_replica_is_its_master_byte_for_byte(pair: tuple[Served, Served], tmp_path: Path) -> None:
    master, copy = pair
    with Raw(master.port) as client, Raw(copy.port) as reader:
        fill(client, 1)
        for name, mode in (("users", "user"), ("numbers", "seq")):
            assert client.ask("NSNEW", name) == "+OK"
            assert client.ask("NSSET", name, "mode", mode) == "+OK"
            assert client.ask("NSSET", name, "password", "secret") == "+OK"
            assert client.ask("NSSET", name, "maxsize", "10000000") == "+OK"
        assert client.ask("SELECT", "users", "secret") == "+OK"
        fill(client, 2, 500)
        assert client.ask("SELECT", "numbers", "secret") == "+OK"
        for number in range(200):
            client.ask("SET", "", b"value %d" % number)
        for number in range(0, 100, 3):
            client.ask("SET", number.to_bytes(8, "little"), b"changed")
            client.ask("DEL", (number + 1).to_bytes(8, "little"))
        big = random.Random(5).randbytes(8 << 20)
        assert client.ask("SET", "", big) == (234).to_bytes(8, "little")
        wait_for_copy(master, copy)
        assert reader.ask("SELECT", "users", "secret") == "+OK"
        assert reader.ask("GET", "k1") == asked(master, "users", "k1")
        assert reader.ask("SET", "k1", "x").startswith("-READONLY This is a replica of redis://")
        assert reader.ask("NSDEL", "users").startswith("-READONLY")
        assert status(reader)["role"] == "replica" and status(client)["role"] == "master"
        assert client.ask("SELECT", "default") == "+OK"
        assert client.ask("NSDEL", "users") == "+OK"
        wait_for_copy(master, copy)
        assert "not available anymore" in reader.ask("GET", "k1")
    assert master.stop() == 0 and copy.stop() == 0
    assert files(tmp_path / "replica") == files(tmp_path / "master")


def asked(server: Served, space: str, key: str) -> object:
    with Raw(server.port) as client:
        client.ask("SELECT", space, "secret")
        return client.ask("GET", key)


def test_a_namespace_that_is_emptied_is_emptied_in_the_copy(
    pair: tuple[Served, Served], tmp_path: Path
) -> None:
    master, copy = pair
    with Raw(master.port) as client:
        client.ask("NSNEW", "f")
        client.ask("NSSET", "f", "password", "p")
        client.ask("NSSET", "f", "public", "0")
        client.ask("SELECT", "f", "p")
        fill(client, 3)
        wait_for_copy(master, copy)
        assert client.ask("FLUSH") == "+OK"
        fill(client, 4, 50)
        wait_for_copy(master, copy)
    assert master.stop() == 0 and copy.stop() == 0
    assert files(tmp_path / "replica") == files(tmp_path / "master")


@pytest.mark.parametrize("rounds", [4, pytest.param(25, marks=pytest.mark.matrix)])
def test_either_side_may_be_killed_at_any_moment(tmp_path: Path, rounds: int) -> None:
    chance = random.Random(time.time_ns())
    port = 0
    for number in range(rounds):
        with ExitStack() as stack:
            words = ["--sync", "always", "--file-size", "500000"]
            master = stack.enter_context(serving(folder(tmp_path, "master"), *words))
            port = master.port
            copy = stack.enter_context(replica(tmp_path, port))
            writer = threading.Thread(target=write_until_closed, args=(port, number))
            writer.start()
            time.sleep(chance.random() * 0.3)  # the moment
            victim = chance.choice([master, copy])
            victim.stop(signal.SIGKILL)
            if victim is copy:
                copy = stack.enter_context(replica(tmp_path, port))
                time.sleep(chance.random() * 0.1)
            master.stop(signal.SIGKILL)
            writer.join()
            copy.stop(signal.SIGKILL)
    with serving(folder(tmp_path, "master"), *SMALL) as master, replica(tmp_path, master) as copy:
        wait_for_copy(master, copy, timeout_s=240)
        assert master.stop() == 0 and copy.stop() == 0
    assert files(tmp_path / "replica") == files(tmp_path / "master")


def write_until_closed(port: int, seed: int) -> None:
    try:
        with Raw(port) as client:
            for step in range(10_000):
                fill(client, seed * 10_000 + step, 20)
    except (OSError, EOFError):
        pass


def test_a_promoted_replica_takes_writes_and_a_stopped_one_can_be_promoted(tmp_path: Path) -> None:
    with serving(folder(tmp_path, "master"), *SMALL) as master:
        with replica(tmp_path, master) as copy, Raw(master.port) as client, Raw(copy.port) as own:
            client.ask("SET", "a", "1")
            wait_for_copy(master, copy)
            assert client.ask("REPLICA", "PROMOTE") == "-This server is not a replica"
            assert own.ask("REPLICA", "PROMOTE") == "+OK"
            assert own.ask("SET", "a", "2") == b"a"
            assert status(own) == {"role": "master"}
            assert copy.stop() == 0
        with replica(tmp_path, master, name="second") as second:
            wait_for_copy(master, second)
            assert second.stop() == 0
        assert master.stop() == 0
    disk = tmp_path / "second/disk"
    done = zdb("serve", "--listen", "127.0.0.1:0", "--disk", disk)
    assert done.returncode == 1 and "it is a replica of 127.0.0.1" in done.stderr
    done = zdb("promote", "--disk", disk)
    assert done.stdout.startswith("was a replica of 127.0.0.1:")
    with serving(tmp_path / "second") as server, Raw(server.port) as client:
        assert client.ask("GET", "a") == b"1"
        assert client.ask("SET", "a", "3") == b"a"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
        return number


def zdb(*words: object) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "zero_os", "zdb", *map(str, words)]
    return subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)


def test_other_data_is_not_thrown_away(tmp_path: Path) -> None:
    with serving(folder(tmp_path, "replica")) as server, Raw(server.port) as client:
        client.ask("SET", "mine", "1")
        server.stop()
    with serving(folder(tmp_path, "master")) as master:
        with Raw(master.port) as client:
            client.ask("SET", "theirs", "1")
        with replica(tmp_path, master) as copy, Raw(copy.port) as client:
            wait_until(lambda: "has data that is not from there" in status(client)["error"], "it")
            assert client.ask("GET", "mine") == b"1"
            copy.stop()
        with replica(tmp_path, master, "--resync", "true") as copy, Raw(copy.port) as client:
            wait_for_copy(master, copy)
            assert (client.ask("GET", "mine"), client.ask("GET", "theirs")) == (None, b"1")


def test_a_master_that_has_lost_data_is_noticed(tmp_path: Path) -> None:
    with serving(folder(tmp_path, "master")) as master:
        with replica(tmp_path, master) as copy, Raw(master.port) as client:
            client.ask("SET", "a", "1")
            client.ask("SET", "lost", "2")
            wait_for_copy(master, copy)
            copy.stop()
        master.stop()
    data = tmp_path / "master/disk/data/default/d0"
    with open(data, "r+b") as stream:
        stream.truncate(data.stat().st_size - 1)
    (tmp_path / "master/disk/index/default/zdb-checkpoint").write_text("none\n")
    with serving(folder(tmp_path, "master")) as master:
        with replica(tmp_path, master) as copy, Raw(copy.port) as client:
            wait_until(lambda: status(client)["diverged"] == "default", "the difference")
            assert client.ask("GET", "lost") == b"2"
            copy.stop()
        with replica(tmp_path, master, "--resync", "true") as copy, Raw(copy.port) as client:
            wait_for_copy(master, copy)
            assert client.ask("GET", "lost") is None


def test_it_follows_with_a_password_over_tls_and_tells_its_lag(tmp_path: Path) -> None:
    made = make_authority(tmp_path / "certificates", "127.0.0.1")
    words = ["--tls-cert", str(made.certificate), "--tls-key", str(made.key)]
    with serving(folder(tmp_path, "master"), *words, ZOS_ZDB_ADMIN="pass word") as master:
        url = f"--master=rediss://127.0.0.1:{master.port}"
        with replica(tmp_path, master, url, "--master-ca", str(made.root)) as copy:
            with Raw(copy.port) as client:
                wait_until(
                    lambda: (
                        "Access denied" in str(status(client)["error"])
                        or "Permission" in str(status(client)["error"])
                    ),
                    "the refusal",
                )
            copy.stop()
        port = free_port()
        env = {"ZOS_ZDB_MASTER_PASSWORD": "pass word"}
        wanted = [url, "--master-ca", str(made.root), "--metrics", f"127.0.0.1:{port}"]
        with replica(tmp_path, master, *wanted, **env) as copy, Raw(copy.port) as client:
            wait_until(lambda: status(client)["connected"] == "yes", "the master")
            wait_until(lambda: float(status(client)["lag_seconds"]) == 0, "all of it")
            text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
            assert "zdb_replica_lag_bytes 0.0" in text and "zdb_replica_connected 1.0" in text
            master.stop()
            wait_until(lambda: status(client)["connected"] == "no", "the loss")
            wait_until(lambda: float(status(client)["lag_seconds"]) > 0, "lag")
