"""Reads what Linux shows of the machine in /sys and /proc. `root` is / but in tests."""

from pathlib import Path

from core.capacity.disks import BlockDevice
from core.capacity.gpus import PciDevice
from core.capacity.links import Link
from core.capacity.platform import Signs, has_hypervisor_bit

READ_MAX_BYTES = 1 << 20
EFI_VARIABLE = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


class System:
    """The machine as files. Whatever can't be read counts as empty: it may be gone again."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        return read_bytes(self.root / path)

    def text(self, path: str) -> str:
        """Return a file's text without the spaces around it."""
        return text_of(self.root / path)

    def block_devices(self) -> list[BlockDevice]:
        """Return everything in /sys/block."""
        return [block_device(path) for path in children(self.root / "sys/block")]

    def pci_devices(self) -> list[PciDevice]:
        """Return everything on PCI buses."""
        return [pci_device(path) for path in children(self.root / "sys/bus/pci/devices")]

    def links(self) -> list[Link]:
        """Return the network links."""
        return [link_of(path) for path in children(self.root / "sys/class/net")]

    def signs(self) -> Signs:
        """Return what shows that the machine is virtual."""
        clocks = self.text(
            "sys/devices/system/clocksource/clocksource0/available_clocksource"
        ).split()
        tree = self.read("sys/firmware/devicetree/base/hypervisor/compatible")
        return Signs(
            vendor=self.text("sys/class/dmi/id/sys_vendor"),
            product=self.text("sys/class/dmi/id/product_name"),
            has_bit=has_hypervisor_bit(self.text("proc/cpuinfo")),
            clocks=frozenset(clocks),
            kind=self.text("sys/hypervisor/type") or tree.decode(errors="replace"),
        )

    def secure_boot_variable(self) -> bytes:
        """Return the EFI variable, if its file system is mounted."""
        return self.read(f"sys/firmware/efi/efivars/{EFI_VARIABLE}")


def block_device(path: Path) -> BlockDevice:
    """Return what a folder of /sys/block says."""
    major = text_of(path / "dev").partition(":")[0]
    return BlockDevice(
        name=path.name,
        place=str(path.resolve()),
        major=number(major),
        sectors=number(text_of(path / "size")),
        is_rotating=text_of(path / "queue/rotational") == "1",
        is_removable=text_of(path / "removable") == "1",
        is_read_only=text_of(path / "ro") == "1",
        is_hidden=text_of(path / "hidden") == "1",
        model=text_of(path / "device/model"),
        wwid=text_of(path / "wwid") or text_of(path / "device/wwid"),
    )


def pci_device(path: Path) -> PciDevice:
    """Return what a folder of /sys/bus/pci/devices says."""
    kind, vendor, device = (number(text_of(path / name)) for name in ("class", "vendor", "device"))
    return PciDevice(path.name, kind, vendor, device)


def link_of(path: Path) -> Link:
    """Return what a folder of /sys/class/net says."""
    words = dict(line.partition("=")[::2] for line in text_of(path / "uevent").splitlines())
    return Link(
        name=path.name,
        mac=text_of(path / "address"),
        family=number(text_of(path / "type")),
        is_card=(path / "device").exists(),
        kind=words.get("DEVTYPE", ""),
    )


def children(folder: Path) -> list[Path]:
    """Return what is in a folder, by name."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes, at most `READ_MAX_BYTES`."""
    try:
        with path.open("rb") as file:
            return file.read(READ_MAX_BYTES)
    except OSError:
        return b""


def text_of(path: Path) -> str:
    """Return a file's text without the spaces around it."""
    return read_bytes(path).decode(errors="replace").strip()


def number(text: str) -> int:
    """Return a number in decimal or with 0x; 0 for anything else."""
    try:
        return int(text, 0)
    except ValueError:
        return 0
