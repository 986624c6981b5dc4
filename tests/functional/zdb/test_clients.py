"""Clients that exist: the `redis` package, the flist store, TLS and Unix sockets."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.helpers.serving.certificates import make_authority
from tests.helpers.zdb.served import UPSTREAM, Raw, ask, serving

ZOS = (sys.executable, "-m", "zero_os")


def connect(port: int, **words: Any) -> Any:
    """Return the client of the package `redis`; with protocol 3 it says HELLO, as 0-db doesn't."""
    return redis.Redis(host="127.0.0.1", port=port, protocol=2, socket_timeout=60, **words)


def refused(folder: Path, *words: str | Path) -> str:
    """Return what a server that does not start says."""
    call = [*ZOS, "zdb", "serve", "--disk", folder / "disk", "--listen", "127.0.0.1:0", *words]
    done = subprocess.run(
        [str(word) for word in call], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_the_redis_client(tmp_path: Path) -> None:
    with serving(tmp_path) as server, connect(server.port) as client:
        assert client.ping()
        assert client.execute_command("SETX", "key", "value") == b"key"
        assert client.get("key") == b"value"
        assert client.execute_command("SETX", "key", "value") is None
        assert client.mget("key", "none") == [b"value", None]
        assert client.exists("key") == 1
        with client.pipeline(transaction=False) as pipe:
            for number in range(2000):
                pipe.execute_command("SETX", f"k{number}", b"\r\n" * number)
            assert pipe.execute() == [b"k%d" % number for number in range(2000)]
        assert client.get("k7") == b"\r\n" * 7
        assert client.dbsize() == 2001
        with pytest.raises(redis.ResponseError, match="Command not supported"):
            client.flushdb()
        with pytest.raises(redis.ResponseError, match="Key not found"):
            client.execute_command("DEL", "none")


def test_data_outlives_the_server_and_signals_end_it(tmp_path: Path) -> None:
    folders = ("--mode", "user", "--data", "disk/data", "--index", "disk/index")
    with serving(tmp_path, "--mode", "user") as server:
        assert ask(server.port, "SET", "key", "value") == b"key"
        assert server.stop() == 0
    with serving(tmp_path, *folders, call=UPSTREAM) as server:
        assert ask(server.port, "GET", "key") == b"value"
        assert server.stop() == 128 + 15  # as upstream's program ends


def test_a_second_server_on_the_same_folders_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert "another server has it" in refused(tmp_path)
        assert ask(server.port, "PING") == "+PONG"


def test_a_flist_is_packed_to_zdb_and_unpacked(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    for number in range(20):
        (tree / "folder" / f"f{number}").write_bytes(bytes([number]) * 70_000 * (number % 3))
    flist, copy = tmp_path / "a.fl", tmp_path / "copy"
    with serving(tmp_path, "--admin", "rootpw") as server, Raw(server.port) as admin:
        admin.ask("AUTH", "rootpw")
        for words in (("NSNEW", "blocks"), ("NSSET", "blocks", "password", "write")):
            assert admin.ask(*words) == "+OK"
        place = f"127.0.0.1:{server.port}/blocks"
        pack = [*ZOS, "flist", "pack", "-m", flist, "-s", f"zdb://user:write@{place}", tree]
        subprocess.run(list(map(str, pack)), check=True, timeout=120)
        assert int(admin.ask("NSINFO", "blocks").split(b"entries: ")[1].split()[0]) > 10
        unpack = [*ZOS, "flist", "unpack", "-m", flist, copy]
        subprocess.run(list(map(str, unpack)), check=True, timeout=120)
    for file in (tree / "folder").iterdir():
        assert (copy / "folder" / file.name).read_bytes() == file.read_bytes()


def test_tls_by_files(tmp_path: Path) -> None:
    files = make_authority(tmp_path / "ca", "127.0.0.1")
    words = ("--tls-cert", files.certificate, "--tls-key", files.key)
    value = bytes(range(256)) * 20_000
    with serving(tmp_path, *words) as server:
        assert server.urls[0].startswith("rediss://127.0.0.1:")
        with connect(server.port, ssl=True, ssl_ca_certs=str(files.root)) as client:
            assert client.execute_command("SETX", "big", value) == b"big"
            assert client.get("big") == value
            with Raw(server.port) as plain:
                plain.send(b"*1\r\n$4\r\nPING\r\n")
                plain.drain()
            with connect(server.port, ssl=True) as stranger, pytest.raises(redis.ConnectionError):
                stranger.ping()
            assert client.ping()


def test_a_unix_socket(tmp_path: Path) -> None:
    place = tmp_path / "zdb.sock"
    with serving(tmp_path, "--socket", place, count=2) as server:
        assert place.stat().st_mode & 0o777 == 0o600
        assert ask(str(place), "SET", "k", "v") == b"k"
        assert ask(server.port, "GET", "k") == b"v"
        server.process.kill()
    with serving(tmp_path, "--socket", place, count=2) as server:  # what a crash leaves is replaced
        assert ask(str(place), "GET", "k") == b"v"
        assert server.stop() == 0
    assert not place.exists()
    place.write_text("a file")
    assert "cannot listen" in refused(tmp_path, "--socket", place)
    assert place.read_text() == "a file"
