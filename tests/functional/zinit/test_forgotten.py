"""What zinit keeps for a service ends with it: the writer of its log file, its control group."""

from pathlib import Path

import pytest

from tests.helpers.processes import children_of
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, running_daemon
from zinit.process.cgroups import PARENT, find_top


def drop(zinit: ZinitDaemon, name: str) -> None:
    """Stop a service and forget it."""
    zinit.client.stop(name)
    wait_until(lambda: not zinit.service_pid(name), f"{name} is down")
    zinit.client.forget(name)


def test_the_writer_of_a_log_file_ends_with_the_last_service_that_uses_it(tmp_path: Path) -> None:
    def file(name: str, folder: str) -> str:
        path = tmp_path / folder / "log"
        return f"exec: sh -c 'echo {name}; exec sleep 1000'\nlog: {{file: {path}}}"

    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    files = {"a": file("a", "one"), "b": file("b", "one"), "c": file("c", "two")}
    with running_daemon(tmp_path, **files) as zinit:
        for name in files:
            zinit.wait_for_line(f"[+] {name}: {name}")
        wait_until(lambda: len(children_of(zinit.pid)) == 5, "three services and two writers")
        drop(zinit, "a")
        wait_until(lambda: len(children_of(zinit.pid)) == 4, "b's writer stays")
        drop(zinit, "b")
        wait_until(lambda: len(children_of(zinit.pid)) == 2, "c and its writer are left")
        assert sorted((tmp_path / "one" / "log").read_text().splitlines()) == ["a", "b"]
        zinit.client.monitor("b")
        wait_until(lambda: len(children_of(zinit.pid)) == 4, "b has a writer again")
        lines = tmp_path / "one" / "log"
        wait_until(lambda: lines.read_text().splitlines().count("b") == 2, "it writes")


def test_the_control_group_of_a_forgotten_service_is_removed(tmp_path: Path) -> None:
    try:
        group = Path(find_top()) / PARENT / "forgotten-test"
        group.mkdir(parents=True, exist_ok=True)
        group.rmdir()
    except OSError as error:
        pytest.skip(f"no control groups here: {error}")
    with running_daemon(
        tmp_path, forgotten_test="exec: sleep 1000\ncgroup: {}", other="exec: sleep 1000"
    ) as zinit:
        zinit.wait_for_state("forgotten-test", "Running")
        assert group.is_dir()
        drop(zinit, "forgotten-test")
        assert not group.exists()
