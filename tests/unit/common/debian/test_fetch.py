"""Packages are fetched once, with or without root, and failures are reported."""

import os
import threading
from pathlib import Path

import pytest

from common.debian.fetch import fetch_command, fetch_packages
from common.run import CommandError
from tests.helpers.waiting import wait_until

# Stands in for mmdebstrap: records each call, waits while a file exists, then writes the archive,
# which is named by its last argument.
FETCHER = """#!/bin/sh
echo called >> "$CALLS"
for last; do :; done
while [ -e "$SLOW" ]; do sleep 0.05; done
echo archive > "$last"
"""
TALKER = """#!/bin/sh
for last; do :; done
echo archive > "$last"
cat >&2 <<END
I: running apt-get update...
Get:1 http://deb.debian.org/debian trixie InRelease [140 kB]
I: downloading packages with apt...
0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.
Get:1 http://deb.debian.org/debian trixie/main amd64 netbase all 6.5 [12.4 kB]
Get:2 http://deb.debian.org/debian trixie/main amd64 busybox-static amd64 1:1.37.0-6+b9 [955 kB]
I: extracting archives...
END
"""
FAILURE = "#!/bin/sh\necho E: no mirror >&2\nexit 25\n"


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Set up an empty cache, and `script` as mmdebstrap."""
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which a stand-in for mmdebstrap records its calls."""
    install(tmp_path, monkeypatch, FETCHER)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("SLOW", str(tmp_path / "slow"))
    return tmp_path / "calls"


@pytest.mark.parametrize("is_root", [True, False])
def test_the_command_with_and_without_root(is_root: bool) -> None:
    words = fetch_command(["a", "b"], "main", is_root=is_root)
    assert words[0] == "mmdebstrap"
    assert "--include=a,b" in words
    assert ("--mode=chrootless" in words) is not is_root


def test_a_failed_fetch_has_a_command_to_paste(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, FAILURE)
    with pytest.raises(CommandError, match=r"cannot fetch packages: .* 25: E: no mirror") as caught:
        fetch_packages(["busybox"])
    hint = caught.value.hint or ""
    assert hint.startswith("mmdebstrap ")
    assert hint.endswith(" trixie /dev/null")


@pytest.mark.parametrize("refresh", [False, True])
def test_concurrent_callers_fetch_once(
    calls: Path, refresh: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if refresh:
        fetch_packages(["a"])
        calls.unlink()
    slow = calls.with_name("slow")
    slow.touch()
    found: list[Path] = []
    said = ""

    def are_two_waiting() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return said.count("waiting for") == 2

    def fetch() -> None:
        found.append(fetch_packages(["a"], refresh=refresh))

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(are_two_waiting, "two callers wait")
    finally:
        slow.unlink()
        for thread in threads:
            thread.join(timeout=60)
    assert len(set(found)) == 1
    assert found[0].read_text() == "archive\n"
    assert calls.read_text() == "called\n"


def test_the_next_fetch_removes_what_a_killed_one_left(calls: Path) -> None:
    archive = fetch_packages(["a"])
    left = archive.parent / f".{archive.stem}-killed"
    left.mkdir()
    other = archive.parent / ".another-fetch"
    other.mkdir()
    fetch_packages(["a"], refresh=True)
    assert other.is_dir()
    assert {path.name for path in archive.parent.iterdir()} == {
        other.name,
        archive.name,
        archive.with_suffix(".lock").name,
        f"{archive.name}.sha256",
    }


@pytest.mark.parametrize("damage", ["archivE\n", "arch", None])
def test_a_damaged_archive_is_fetched_again(calls: Path, damage: str | None) -> None:
    archive = fetch_packages(["a"])
    facts = archive.stat()
    if damage is None:  # as earlier versions left it
        archive.with_name(f"{archive.name}.sha256").unlink()
    else:
        archive.write_text(damage)
    os.utime(archive, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert fetch_packages(["a"]).read_text() == "archive\n"
    fetch_packages(["a"])
    assert calls.read_text() == "called\n" * 2


def test_a_fetch_tells_of_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, TALKER)
    said: list[str] = []
    fetch_packages(["a"], progress=said.append)
    assert said == [
        "fetching Debian's package lists",
        "fetching package 1 of 2: netbase (12.4 kB)",
        "fetching package 2 of 2: busybox-static (955 kB)",
        "unpacking the packages",
    ]
