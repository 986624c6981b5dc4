"""What reboots for a kernel were for: remembered on a disk, or by nobody."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.flists.cache import DiskCache
from node.generations import reboots
from node.generations.machine import BusyError
from node.generations.reboots import Reboots
from tests.helpers.needs import need_root, need_tool
from tests.helpers.node.generations import DAEMON, Lab
from tests.helpers.zinit.daemon import ZinitDaemon

WORKLOAD = {"bin/redis": "@redis", "etc/zinit/redis.yaml": "exec: /bin/redis 1000\n"}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    need_root()
    need_tool("ldd")
    with ZinitDaemon(tmp_path) as zinit:
        zinit.start()
        lab = Lab(tmp_path, zinit, monkeypatch)
        yield lab
        lab.close()


def test_a_reboot_for_a_kernel_that_did_not_bring_it_is_remembered(
    lab: Lab, tmp_path: Path
) -> None:
    lab.boot(lab.release("1", workload=WORKLOAD))
    lab.held = lab.release("2", 2, workload=WORKLOAD)
    memory = lab.updater.site.reboots

    def look() -> tuple[object, object]:
        answer = lab.updater.look(DAEMON)
        return answer["kernel_changes"], answer["reboot"]

    assert look() == (True, "unknown")
    with pytest.raises(BusyError, match="no disk keeps"):
        memory.before(once=True, kexec=False)
    memory.before(once=False, kexec=False)

    lab.cache = DiskCache(tmp_path, Path("/dev/null"))
    lab.cache.open()
    assert look() == (True, "possible")
    memory.before(once=True, kexec=False)
    lab.updater.site.reboots = memory = Reboots(
        "1", lambda: lab.cache, memory.kexec
    )  # it has come up again
    assert look() == (True, "tried")
    with pytest.raises(BusyError, match="did not bring 2"):
        memory.before(once=True, kexec=False)
    lab.held = lab.release("3", 3, workload=WORKLOAD)  # another kernel may come
    assert look() == (True, "possible")
    memory.before(once=True, kexec=False)
    lab.updater.site.reboots = Reboots("3", lambda: lab.cache, memory.kexec)
    assert look() == (False, "possible")
    # It came, so what it was for is forgotten: the node may start with the old one again.
    lab.updater.site.reboots = Reboots("1", lambda: lab.cache, memory.kexec)
    assert look() == (True, "possible")


def test_a_disk_that_does_not_take_what_a_reboot_is_for_keeps_nothing(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.boot(lab.release("1", workload=WORKLOAD))
    lab.held = lab.release("2", 2, workload=WORKLOAD)
    lab.cache = DiskCache(tmp_path, Path("/dev/null"))
    lab.cache.open()
    assert lab.updater.look(DAEMON)["reboot"] == "possible"
    monkeypatch.setattr(reboots, "KEEP_S", 0.1)
    hangs = threading.Event()
    for write in (lambda *_: None, lambda *_: hangs.wait()):
        monkeypatch.setattr(lab.cache, "write", write)
        lab.updater.site.reboots.before(once=False, kexec=False)  # an operator's
        with pytest.raises(BusyError, match="no disk keeps"):
            lab.updater.site.reboots.before(once=True, kexec=False)
    hangs.set()
