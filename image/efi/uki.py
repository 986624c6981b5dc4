"""The unified kernel image: one EFI binary of kernel, initramfs and command line. Pure.

systemd's EFI stub starts the kernel in `.linux` with the other sections; UAPI's "Unified Kernel
Image" describes them. A signature of the image covers all of them.
"""

from collections.abc import Mapping

from common.efi.errors import EfiError, FormatError
from common.efi.pe import Image, add_sections, drop_sections

# The order in which the stub measures them, except `.pcrsig`, which it does not measure.
MEASURED = (
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat",
    ".pcrpkey",
)  # fmt: skip
NOT_MEASURED = ".pcrsig"
# The order in the file, as ukify has it.
ORDER = (
    ".osrel", ".cmdline", ".dtb", ".uname", ".splash", ".pcrpkey", ".linux", ".initrd", ".ucode",
    ".sbat", NOT_MEASURED,
)  # fmt: skip
SBAT = "zero-os,1,Zero-OS,zero-os,{version},-\n"


def build_uki(stub: bytes, sections: Mapping[str, bytes]) -> bytes:
    """Return the UKI of `sections`, name to content, with systemd's EFI `stub`.

    The same input gives the same bytes. Raises `FormatError` if `stub` is not such a stub, and
    `EfiError` for a section that is empty, unknown or missing.
    """
    if unknown := sorted(sections.keys() - set(ORDER)):
        raise EfiError(f"cannot build the UKI: it has no section {unknown[0]}")
    if empty := [name for name, content in sections.items() if not content]:
        raise EfiError(f"cannot build the UKI: the section {empty[0]} is empty")
    if ".linux" not in sections:
        raise EfiError("cannot build the UKI without a kernel")
    image = read_stub(stub)
    kernel = Image.parse(sections[".linux"])
    if kernel.machine != image.machine:
        raise EfiError("cannot build the UKI: the stub is for another processor than the kernel")
    ordered = {name: sections[name] for name in ORDER if name in sections}
    return add_sections(image, ordered, is_nx_compatible=kernel.is_nx_compatible)


def read_stub(stub: bytes) -> Image:
    """Return the parsed EFI stub; raise `FormatError` if it is another program."""
    image = Image.parse(stub)
    if b"#### LoaderInfo: systemd-stub " not in (image.content(".sdmagic") or b""):
        raise FormatError("not systemd's EFI stub: it has no .sdmagic")
    return image


def extend_sbat(stub: bytes, version: str) -> bytes:
    """Return the revocation data (SBAT) of a UKI: the stub's, and a line of this project."""
    lines = read_stub(stub).content(".sbat") or b""
    return lines.rstrip(b"\0") + SBAT.format(version=version).encode()


def replace_sections(uki: bytes, changes: Mapping[str, bytes]) -> bytes:
    """Return a UKI, which must not be signed, with other sections; an empty one is removed.

    The signature of the foretold registers (`.pcrsig`) goes, unless `changes` has another.
    """
    sections = {**read_sections(uki), NOT_MEASURED: b"", **changes}
    kept = {name: content for name, content in sections.items() if content}
    names = [name for name in ORDER if name != ".sbat"]
    return build_uki(drop_sections(Image.parse(uki), names), kept)


def read_sections(uki: bytes) -> dict[str, bytes]:
    """Return the sections of a UKI, name to content. Raises `FormatError`."""
    image = Image.parse(uki)
    names = [section.name for section in image.sections]
    found = {name: image.content(name) or b"" for name in ORDER if name in names}
    if ".linux" not in found or len(names) != len(set(names)):
        raise FormatError("not a UKI, or one with several profiles")
    return found
