"""Everything is gathered from files, each time anew."""

from pathlib import Path

import psutil
import pytest

from core.capacity.facts import Firmware, gather, is_secure, read_firmware
from core.capacity.model import Resources
from core.capacity.sysfs import EFI_VARIABLE, System
from tests.helpers.core.dmidecode import END, entry_point, structure

NOTHING = Firmware({}, "")


def write(root: Path, files: dict[str, str | bytes]) -> System:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return System(root)


def add_disk(root: Path, name: str, place: str, **files: str) -> None:
    target = root / "sys/devices" / place / name
    defaults = {"dev": "8:0\n", "size": "2048\n", "removable": "0\n", "ro": "0\n"}
    write(target, dict(defaults | files))
    (root / "sys/block").mkdir(parents=True, exist_ok=True)
    (root / "sys/block" / name).symlink_to(target)


def test_a_machine_of_files(tmp_path: Path) -> None:
    board = structure(2, 2, b"\1\0\0\2", b"ACME", b"SN-1")
    system = write(
        tmp_path,
        {
            "sys/firmware/dmi/tables/DMI": board + END,
            "sys/firmware/dmi/tables/smbios_entry_point": entry_point(board + END),
            "sys/class/dmi/id/sys_vendor": "QEMU\n",
            "sys/bus/pci/devices/0000:01:00.0/class": "0x030200\n",
            "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
            "sys/bus/pci/devices/0000:01:00.0/device": "0x20b5\n",
        },
    )
    add_disk(tmp_path, "sda", "pci0000:00/ata1", **{"queue/rotational": "1\n"})
    facts = gather(system, read_firmware(system), Resources())
    assert facts["serial"] == "SN-1"
    assert facts["dmi"]["tooling"]["aggregator"] == "SMBIOS 2.8"
    assert (facts["hypervisor"], facts["virtualized"]) == ("qemu", True)
    assert [card["id"] for card in facts["gpus"]] == ["0000:01:00.0/10de/20b5"]
    assert facts["capacity"]["hru"] == 1 << 20
    assert facts["capacity"]["cru"] == psutil.cpu_count()
    assert facts["capacity"]["mru"] == psutil.virtual_memory().total
    assert facts["free"]["mru"] == facts["capacity"]["mru"] - facts["used"]["mru"]


def test_a_disk_that_is_added_later_counts(tmp_path: Path) -> None:
    """Upstream counts once, when it starts."""
    system = System(tmp_path)
    assert gather(system, NOTHING, Resources())["capacity"]["sru"] == 0
    add_disk(tmp_path, "sdb", "pci0000:00/ata2", **{"queue/rotational": "0\n"})
    facts = gather(system, NOTHING, Resources(sru=512))
    assert facts["capacity"]["sru"] == 1 << 20
    assert (facts["used"]["sru"], facts["free"]["sru"]) == (512, (1 << 20) - 512)


def test_a_machine_that_shows_nothing_has_facts(tmp_path: Path) -> None:
    system = System(tmp_path)
    facts = gather(system, read_firmware(system), Resources())
    assert facts["disks"] == [] and facts["gpus"] == [] and facts["serial"] == ""
    assert not facts["secure_boot"]


def test_disable_gpu_hides_cards(tmp_path: Path) -> None:
    card = {"class": "0x030000\n", "vendor": "0x1002\n", "device": "0x5046\n"}
    files = {f"sys/bus/pci/devices/0000:01:00.0/{name}": text for name, text in card.items()}
    system = write(tmp_path, dict(files))
    assert len(gather(system, NOTHING, Resources())["gpus"]) == 1
    for flag in ("disable-gpu", "disable-gpu=no"):
        write(tmp_path, {"proc/cmdline": f"runmode=dev {flag}"})
        assert gather(system, NOTHING, Resources())["gpus"] == []


@pytest.mark.parametrize(
    ("variable", "noted", "answer"),
    [(1, 2, True), (0, 3, False), (None, 3, True), (None, 2, False)],
)
def test_the_variable_of_secure_boot_counts_before_the_kernel_s_note(
    tmp_path: Path, variable: int | None, noted: int, answer: bool
) -> None:
    params = bytearray(4096)
    params[0x1EC] = noted
    files: dict[str, str | bytes] = {"sys/kernel/boot_params/data": bytes(params)}
    if variable is not None:
        files[f"sys/firmware/efi/efivars/{EFI_VARIABLE}"] = bytes([6, 0, 0, 0, variable])
    assert is_secure(write(tmp_path, files)) == answer
