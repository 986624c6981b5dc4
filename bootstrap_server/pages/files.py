"""The files of one set of options: their addresses, and what a page says of them."""

from collections.abc import Callable
from dataclasses import dataclass

from bootstrap_server.images.kinds import KINDS, Kind
from bootstrap_server.options.model import Options

MIB = 1 << 20
SCRIPT = KINDS["ipxe"]

_NAMES = {"bios": "BIOS", "uefi": "UEFI", "amd64": "x86-64"}
# Returns size and SHA-256 of an image; None and an empty text where that would take long.
Measure = Callable[[Kind, Options], tuple[int | None, str]]


@dataclass(frozen=True, slots=True)
class File:
    """One file to download. `url` and `name` hold no character that is special in HTML."""

    kind: Kind
    name: str
    url: str
    size: str = ""
    sha256: str = ""

    @property
    def fits(self) -> str:
        """Return which machines start from it."""
        firmware, processors = map(join, (self.kind.firmware, self.kind.architecture))
        return f"for {firmware} on {processors}"

    @property
    def checksum_url(self) -> str:
        """Return the address of its checksum."""
        path, mark, query = self.url.partition("?")
        return f"{path}.sha256{mark}{query}"

    @property
    def curl(self) -> str:
        """Return the command that fetches it."""
        quoted = f"'{self.url}'" if "?" in self.url else self.url
        return f"curl --fail --output {self.name} {quoted}"

    @property
    def note(self) -> str:
        """Return what is missing in it, if something is."""
        return {
            "pair": "It can't hold the farm's number itself: it reads it from a second file, "
            "autoexec.ipxe, which must lie beside it.",
            "provision": "It holds no farm: it asks this server what the machine is.",
            "none": "It holds no farm's options.",
        }.get(self.kind.personal, "")


def find_file(kind: Kind, options: Options, page_url: str, measure: Measure | None = None) -> File:
    """Return the file of one kind."""
    size, sha256 = measure(kind, options) if measure else (None, "")
    own = reduce(kind, options)
    return File(
        kind,
        kind.file_name(own),
        f"{page_url}/{kind.name}" + (f"/{own.path}" if own else ""),
        "" if size is None else show_size(size),
        sha256,
    )


def reduce(kind: Kind, options: Options) -> Options | None:
    """Return what of these options the address of a kind has; some have a run mode or nothing."""
    if kind.personal == "slot":
        return options
    return Options(options.run_mode) if kind.max_parts else None


def find_files(options: Options, page_url: str) -> list[File]:
    """Return the files of every kind that can be made with `options`."""
    return [find_file(kind, options, page_url) for kind in KINDS.values() if fits(kind, options)]


def fits(kind: Kind, options: Options) -> bool:
    """Return whether an address of the kind has room for these options, and all that it needs."""
    own = reduce(kind, options)
    parts = own.path.partition("?")[0].count("/") + 1 if own else 0
    return kind.min_parts <= parts <= kind.max_parts


def show_size(size: int) -> str:
    """Return a size in bytes for people."""
    if size < MIB:
        return f"{max(1, round(size / 1024))} KiB"
    return f"{size / MIB:.1f}".removesuffix(".0") + " MiB"


def join(names: tuple[str, ...]) -> str:
    """Return names as people write them, with "and" between them."""
    return " and ".join(_NAMES.get(name, name) for name in names)
