"""Modules in rounds, mount points and control groups, tested without a machine."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from zinit import boot, modules
from zinit.files.reading import parse_service
from zinit.files.service import Service
from zinit.life.manager import REBOOT
from zinit.log.outputs import Outputs
from zinit.log.ring import Ring
from zinit.loop import Loop
from zinit.process import cgroups, kernel
from zinit.process.system import RealSystem


def test_modules_are_loaded_in_rounds_until_nothing_new_appears() -> None:
    """A bus driver makes devices appear, whose drivers may make more appear."""
    seen: list[list[str]] = []
    worlds = [{"pci:1"}, {"pci:1", "usb:2"}, {"pci:1", "usb:2", "hid:3"}]

    def spawn(words: list[str]) -> int:
        seen.append(words[4:])
        return os.posix_spawn(sys.executable, [sys.executable, "-IS", "-c", ""], {})

    def aliases() -> set[str]:
        return worlds[min(len(seen), 2)]

    said: list[str] = []
    assert modules.load_modules(said.append, spawn, aliases) == 3
    assert seen == [["evdev", "fuse", "overlay", "pci:1"], ["usb:2"], ["hid:3"]]
    assert said == []


def test_loading_modules_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "DEADLINE_S", 0.05)
    pids = []

    def spawn(words: list[str]) -> int:
        call = [sys.executable, "-IS", "-c", "import time; time.sleep(100)"]
        pids.append(os.posix_spawn(sys.executable, call, {}))
        return pids[-1]

    said: list[str] = []
    modules.load_modules(said.append, spawn, lambda: {"pci:1"})
    os.kill(pids[0], 9)
    os.waitpid(pids[0], 0)
    assert said == ["loading modules takes too long, going on without the rest"]


def test_a_missing_modprobe_is_reported() -> None:
    said: list[str] = []

    def spawn(words: list[str]) -> int:
        raise FileNotFoundError(2, "No such program", words[0])

    assert modules.load_modules(said.append, spawn, set) == 1
    assert said == ["cannot run modprobe: No such program"]


def test_aliases_are_read_from_every_bus(tmp_path: Path) -> None:
    device = tmp_path / "pci" / "devices" / "0000:00"
    device.mkdir(parents=True)
    (device / "modalias").write_text("pci:v1\n")
    (tmp_path / "usb" / "devices" / "1-1").mkdir(parents=True)
    assert modules.read_aliases(str(tmp_path)) == {"pci:v1"}


def test_mount_points_are_unescaped() -> None:
    assert boot.decode_octal("/mnt/a\\040b\\134c") == "/mnt/a b\\c"


def test_a_mount_may_have_any_name(tmp_path: Path) -> None:
    """One that a user chose kept everything else from being unmounted."""
    names = [b"/feed\x0c", b"/nel\xc2\x85x", b"/separator\xe2\x80\xa8x", b"/no-utf8\xff", b"/plain"]
    lines = [b"a\x0bname " + name + b" tmpfs rw 0 0\n" for name in names]
    (tmp_path / "mounts").write_bytes(b"".join(lines))
    assert [os.fsencode(name) for name in boot.read_mounts(str(tmp_path / "mounts"))] == names
    for call in (kernel.unmount, kernel.remount_read_only):
        with pytest.raises(OSError, match="no-utf8"):
            call(os.fsdecode(bytes(tmp_path) + b"/no-utf8\xff"))


def test_a_control_group_that_cannot_be_killed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(service: Service) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(cgroups, "kill", fail)
    said: list[str] = []
    loop = Loop(lambda: 0.0, lambda error: None)
    try:
        outputs = Outputs(loop, Ring(), lambda data: None, said.append)
        system = RealSystem(outputs, loop, said.append, lambda error: None)
        system.kill_cgroup(Service("a", "run"))
    finally:
        loop.close()
    assert said == ["a: cannot kill its control group: Invalid argument"]


class Unseen(dict[int, object]):
    """A dictionary that is too large to look at every value."""

    def values(self) -> NoReturn:
        raise AssertionError("every value is looked at")


def test_the_end_of_one_service_looks_at_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the time that thousands of them take is quadratic."""
    loop = Loop(lambda: 0.0, lambda error: None)
    outputs = Outputs(loop, Ring(), lambda data: None, print)
    system = RealSystem(outputs, loop, print, lambda error: None)
    monkeypatch.setattr(outputs, "_streams", Unseen())
    monkeypatch.delattr(os, "waitid")  # it looks at every child
    try:
        ends = [os.pipe(), os.pipe()]
        for number, (reader, writer) in enumerate(ends, 1):
            outputs.attach(reader, number, "a", "a", None)
            os.close(writer)
        system.forget(Service("a"))
        assert [outputs.reader_of("a", number) for number in (1, 2)] == [-1, -1]
        assert not system.has_group((1 << 22) + 1)  # above every pid
    finally:
        loop.close()


def test_a_limit_that_a_reload_removes_is_lifted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup.controllers").touch()
    monkeypatch.setattr(cgroups, "TOPS", (str(tmp_path),))
    reports: list[str] = []
    for line in ("cgroup: {memory: 64M, pids: 10}", "cgroup: {memory: 64M}"):
        folder = Path(cgroups.prepare(parse_service("a", f"exec: x\n{line}")[0], reports.append))
        limits = {name: (folder / name).read_text() for name in ("memory.max", "pids.max")}
    assert limits == {"memory.max": str(64 << 20), "pids.max": "max"}
    assert reports == []


@pytest.mark.parametrize(
    ("goal", "loaded", "fails", "commands"),
    [
        (REBOOT, b"1\n", False, [kernel.KEXEC]),
        (REBOOT, b"1\n", True, [kernel.KEXEC, kernel.RESTART]),
        (REBOOT, b"0\n", False, [kernel.RESTART]),
        (REBOOT, None, False, [kernel.RESTART]),
        ("power off", b"1\n", False, [kernel.POWER_OFF]),
    ],
)
def test_a_reboot_starts_the_kernel_that_is_loaded(
    goal: str,
    loaded: bytes | None,
    fails: bool,
    commands: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if loaded is not None:
        (tmp_path / "loaded").write_bytes(loaded)
    asked: list[int] = []

    def reboot(command: int) -> None:
        asked.append(command)
        if fails and command == kernel.KEXEC:
            raise OSError(22, "Invalid argument")
        raise SystemExit

    monkeypatch.setattr(boot, "KEXEC_LOADED", str(tmp_path / "loaded"))
    monkeypatch.setattr(boot, "end_processes", lambda: None)
    monkeypatch.setattr(boot, "run_in_child", lambda *_: True)
    monkeypatch.setattr(kernel, "reboot", reboot)
    said: list[str] = []
    with pytest.raises(SystemExit):
        boot.finish(goal, said.append)
    assert asked == commands
    assert ("cannot start the loaded kernel: Invalid argument" in said) == fails
