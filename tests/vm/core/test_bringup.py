"""A node's set of flists: from a signed channel, from the cache on a disk, and with a bad one."""

import shutil
from pathlib import Path

import pytest

from common.releases.flists import CORE, WORKLOAD
from flist.hub.app import create_app
from image.model import Release
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.vm.node import BOOT_S, CORE_S, boot_node
from tests.helpers.vm.site import Site, ask_status, wait_for_redis
from tests.helpers.waiting import wait_until
from zero_os.boot.core import CORE_NAME
from zero_os.boot.hub import NAME, LocalHub
from zero_os.boot.node import REDIS_PORT

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(2400)]

# A node has neither `ls` nor `sync`.
LIST_KEPT = """
import os
from pathlib import Path
os.sync()
print(*(path.stem for path in Path("/run/zero-os/cache/zero-os/flists").glob("*.fl")))
"""


def test_a_set_from_the_channel_then_from_the_disk(
    release: Release, core_hub: LocalHub, tmp_path: Path
) -> None:
    """The second boot fetches next to nothing, the third finds neither hub nor bootstrap server."""
    site = Site(release, core_hub, tmp_path)
    with site.serve():
        with site.boot("first") as machine:
            status = ask_status(machine)
            assert {row["role"]: row["version"] for row in status["set"]} == {
                CORE: site.set,
                WORKLOAD: site.set,
            }
            assert status["cache"]["device"] == "/dev/vda"
            assert status["problems"] == []
            first = site.sent()
            digests = [row["sha256"] for row in status["set"]]
            wait_until(
                lambda: set(digests) <= set(machine.guest.python(LIST_KEPT).split()),
                "they are kept",
                BOOT_S,
            )
        with site.boot("second") as machine:
            for name in (CORE_NAME, NAME):
                line = machine.wait_for_console_text(f"flist {name} from the cache", timeout_s=1)
                assert line.text.endswith("digest good")
        second = site.sent() - first
    print(f"bytes from the hub: first boot {first}, second boot {second}")
    assert second < first / 50
    with site.boot("third") as machine:
        machine.wait_for_console_text("from the cache, channel valid until", timeout_s=1)
        assert ask_status(machine)["stage"] == "ready"
    assert site.sent() == first + second


def test_a_core_with_a_wrong_signature_costs_the_workload_nothing(
    release: Release, core_hub: LocalHub, tmp_path: Path, artefacts: Path
) -> None:
    root = tmp_path / "hub"
    shutil.copytree(core_hub.root, root, symlinks=True)
    flist = root / "flists" / f"{CORE_NAME}.fl"
    data = bytearray(flist.read_bytes())
    data[len(data) // 2] ^= 1
    flist.unlink()
    flist.write_bytes(data)
    listener = open_listener("127.0.0.1", 0)
    words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{listener.getsockname()[1]}"
    with (
        serve_in_thread(create_app(root), listener),
        boot_node(
            release, artefacts, append=words, forwards=(REDIS_PORT,), has_agent=True
        ) as machine,
    ):
        machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)
        refusal = f"bringup: core: flist {CORE_NAME} refused"
        machine.wait_for_console_text(refusal, timeout_s=BOOT_S)
        wait_for_redis(machine)
        status = ask_status(machine)
        assert status["stage"] == "ready"
        (problem,) = status["problems"]
        assert problem["code"] == "ZB43"
        assert f"flist {CORE_NAME} refused" in problem["text"]
        assert "core flist mounted" not in "".join(line.text for line in machine.console_lines())

        data[len(data) // 2] ^= 1
        flist.write_bytes(data)
        machine.wait_for_console_text("bringup: core ready", timeout_s=CORE_S)
        wait_until(lambda: ask_status(machine)["problems"] == [], "nothing is wrong", BOOT_S)
