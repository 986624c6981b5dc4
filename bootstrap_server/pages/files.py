"""The files of one set of options: their addresses, and what a page says of them."""

from collections.abc import Callable
from dataclasses import dataclass

from bootstrap_server.images.kinds import KINDS, Kind
from bootstrap_server.options.model import Options

MIB = 1 << 20
SCRIPT = "ipxe"

_FIRMWARE = {"bios": "BIOS", "uefi": "UEFI"}
# Returns size and SHA-256 of an image; None and an empty text where that would take long.
Measure = Callable[[Kind, Options], tuple[int | None, str]]


@dataclass(frozen=True, slots=True)
class File:
    """One file to download. Its texts hold no character that is special in a shell."""

    kind: Kind
    file_name: str
    url: str
    size: str = ""
    sha256: str = ""

    @property
    def firmware(self) -> str:
        """Return what can start from it."""
        names = " and ".join(_FIRMWARE.get(name, name) for name in self.kind.firmware)
        return f"for {names}, {self.kind.architecture}"

    @property
    def curl(self) -> str:
        """Return the command that fetches it."""
        quoted = f"'{self.url}'" if "&" in self.url or "?" in self.url else self.url
        return f"curl --fail --output {self.file_name} {quoted}"


def find_file(kind: Kind, options: Options, page_url: str, measure: Measure | None = None) -> File:
    """Return the file of one kind."""
    size, sha256 = measure(kind, options) if measure else (None, "")
    return File(
        kind,
        options.file_name + kind.suffix,
        f"{page_url}/{kind.name}/{options.path}",
        "" if size is None else show_size(size),
        sha256,
    )


def find_files(options: Options, page_url: str) -> list[File]:
    """Return the files of every kind that can be made with `options`."""
    return [find_file(kind, options, page_url) for kind in KINDS.values() if fits(kind, options)]


def fits(kind: Kind, options: Options) -> bool:
    """Return whether a kind can be made with these options: some need a farm."""
    return options.farm is not None or kind.min_parts <= 1


def show_size(size: int) -> str:
    """Return a size in bytes for people."""
    if size < MIB:
        return f"{max(1, round(size / 1024))} KiB"
    return f"{size / MIB:.1f}".removesuffix(".0") + " MiB"
