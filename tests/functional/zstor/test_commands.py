"""The commands, as a user calls them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zstor.farm import Farm, write_file

ZSTOR = (sys.executable, "-m", "zero_os", "zstor")
MIB = 1 << 20


class Shell:
    """Calls `zos zstor` with a configuration."""

    def __init__(self, folder: Path, four: Farm) -> None:
        self.folder = folder
        self.four = four
        self.config = folder / "config.toml"

    def configure(self, k: int, n: int, groups: list[int], meta: int = 3, **more: str) -> None:
        self.config.write_text(self.four.text(k, n, groups, meta, **more))

    def call(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [*ZSTOR, "-c", str(self.config), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    def ok(self, *words: str | Path) -> str:
        done = self.call(*words)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def fail(self, *words: str | Path) -> str:
        done = self.call(*words)
        assert done.returncode in (1, 2), done.returncode
        assert done.stdout == ""
        return done.stderr


@pytest.fixture(name="shell")
def one_shell(four: Farm, tmp_path: Path) -> Shell:
    shell = Shell(tmp_path, four)
    shell.configure(2, 4, [4])
    return shell


def test_a_file_is_stored_checked_retrieved_and_deleted(shell: Shell) -> None:
    path = write_file(shell.folder, b"content")
    assert shell.ok("store", "-f", path) == ""
    found = subprocess.run(["b2sum", "-l", "256", path], capture_output=True, text=True)
    assert shell.ok("check", "-f", path).split() == [found.stdout.split()[0]]
    assert json.loads(shell.ok("check", "-f", path, "--json"))["size"] == 7
    path.unlink()
    shell.ok("retrieve", "-f", path)
    assert path.read_bytes() == b"content"
    shell.ok("retrieve", "-f", path, "-o", shell.folder / "other")
    assert (shell.folder / "other").read_bytes() == b"content"
    shell.ok("delete", "-f", path)
    for command in ("check", "retrieve", "delete"):
        assert "it is not stored" in shell.fail(command, "-f", path)


def test_upstreams_format_by_a_flag(shell: Shell) -> None:
    shell.configure(2, 4, [4], meta=4)
    path = write_file(shell.folder, b"content")
    stored = json.loads(shell.ok("store", "-f", path, "--format", "upstream", "--json"))
    assert stored["format"] == "upstream"
    assert shell.ok("check", "-f", path).strip() == stored["checksum"]
    shell.ok("retrieve", "-f", path, "-o", shell.folder / "other")
    assert (shell.folder / "other").read_bytes() == b"content"


def test_of_a_folder_only_the_files_directly_in_it_are_stored(shell: Shell) -> None:
    top = shell.folder / "top"
    (top / "below").mkdir(parents=True)
    write_file(top / "below", b"deep")
    os.mkfifo(top / "pipe")
    (top / "link").symlink_to("b")
    for name in "ab":
        write_file(top, name.encode(), name)
    lines = shell.ok("store", "-f", top, "--json").splitlines()
    assert [json.loads(line)["name"] for line in lines] == [str(top / "a"), str(top / "b")]


def test_one_file_that_fails_does_not_stop_the_others_of_its_folder(shell: Shell) -> None:
    top = shell.folder / "top"
    top.mkdir()
    for name in "ab":
        write_file(top, name.encode(), name)
    shell.configure(2, 4, [4], root=f'"{top}"')
    shell.ok("store", "-f", top, "-d")
    assert list(top.iterdir()) == []
    shell.configure(2, 4, [4], root='"/nonexistent"')
    for name in "ab":
        write_file(top, name.encode(), name)
    done = shell.call("store", "-f", top)
    assert done.returncode == 1
    assert done.stderr.count("it is not below the root /nonexistent") == 2
    assert shell.call("store", "-f", top, "-e").stderr.count("it is not below") == 1


def test_a_key_path_gives_a_file_another_folder(shell: Shell) -> None:
    path = write_file(shell.folder, b"content")
    shell.ok("store", "-f", path, "-k", "/elsewhere", "-d", "-e", "-s")  # upstream's options
    assert not path.exists()
    assert "not stored" in shell.fail("check", "-f", path)
    shell.ok("retrieve", "-f", "/elsewhere/file", "-o", path)
    assert path.read_bytes() == b"content"


def test_status_shows_every_backend(shell: Shell) -> None:
    shell.four.set("d0", maxsize="1000")
    text = shell.ok("status")
    assert text.count("yes") == 7
    assert text.count("no limit") == 6
    rows = [json.loads(line) for line in shell.ok("status", "--json").splitlines()]
    assert rows[0]["free"] == 1000
    changed = shell.config.read_text().replace('"d1"', '"nothing"')
    shell.config.write_text(changed)
    assert "Namespace not found" in shell.ok("status")


def test_test_tries_every_backend_and_leaves_nothing(shell: Shell) -> None:
    assert shell.ok("test").count(": ok") == 7
    assert shell.four.pieces(4) == [0, 0, 0, 0]
    with shell.four.down("d2"):
        done = shell.call("test")
    assert done.returncode == 1
    assert done.stdout.count(": ok") == 6
    assert "cannot place 4 shards" in done.stderr


def test_keys_are_made_once(shell: Shell) -> None:
    secret = shell.folder / "key"
    shell.ok("keygen", secret)
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (shell.folder / "key.pub").read_text().startswith("zstor-public-key-1 ")
    assert "exists already" in shell.fail("keygen", secret)
    ways = f'algorithm = "AES", recipient = "{secret}.pub", identity = "{secret}"'
    shell.configure(2, 4, [4], encryption=ways)
    path = write_file(shell.folder, b"content")
    shell.ok("store", "-f", path, "-d")
    shell.ok("retrieve", "-f", path)
    assert path.read_bytes() == b"content"


def test_what_can_not_be_is_told(shell: Shell) -> None:
    path = write_file(shell.folder, b"content")
    done = subprocess.run([*ZSTOR, "status"], capture_output=True, text=True)
    assert (done.returncode, "hint: -c FILE" in done.stderr) == (2, True)
    assert "No such file" in shell.fail("store", "-f", shell.folder / "none")
    assert "not a regular file" in shell.fail("store", "-f", "/dev/zero")
    os.mkfifo(shell.folder / "pipe")
    assert "not a regular file" in shell.fail("store", "-f", shell.folder / "pipe")
    shell.ok("store", "-f", path)
    assert "Is a directory" in shell.fail("retrieve", "-f", path, "-o", shell.folder)
    shell.configure(2, 2, [4])
    assert "leave no parity" in shell.fail("status")


def test_memory_does_not_grow_with_the_file(shell: Shell) -> None:
    """120 MiB through chunks of 2 MiB, in both formats: about 90 MiB with Python and libraries."""
    shell.configure(2, 4, [4], meta=4, compression="none", chunk_size=str(2 * MIB))
    path = shell.folder / "large"
    with path.open("wb") as stream:
        for _ in range(120):
            stream.write(os.urandom(MIB))
    for form in ("zos", "upstream"):
        assert peak_of(shell, "store", "-f", path, "--format", form) < 110 * MIB
        assert peak_of(shell, "retrieve", "-f", path, "-o", shell.folder / "back") < 110 * MIB
        same = subprocess.run(["cmp", path, shell.folder / "back"], capture_output=True)
        assert same.returncode == 0
        shell.ok("delete", "-f", path)


def peak_of(shell: Shell, *words: str | Path) -> int:
    """Return the largest resident size of a command, in bytes."""
    process = subprocess.Popen([*ZSTOR, "-c", shell.config, *words])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_store_changes_nothing_that_was_stored(
    shell: Shell, number: signal.Signals
) -> None:
    shell.configure(2, 4, [4], compression="none", chunk_size="65536")
    path = write_file(shell.folder, b"old")
    shell.ok("store", "-f", path)
    path.write_bytes(os.urandom(100 * MIB))
    process = subprocess.Popen(
        [*ZSTOR, "-c", shell.config, "store", "-f", path], stderr=subprocess.PIPE, text=True
    )
    with process:
        wait_until(lambda: shell.four.pieces(1)[0] > 3, "pieces of the new file")
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    shell.ok("retrieve", "-f", path, "-o", shell.folder / "back")
    assert (shell.folder / "back").read_bytes() == b"old"
    if number is signal.SIGINT:
        assert (process.returncode, told) == (130, "zos zstor: interrupted\n")
        assert shell.four.pieces(4) == [1, 1, 1, 1]
