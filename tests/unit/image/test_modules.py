"""Kernel modules made by hand: what they say, and what comes along with them."""

import lzma
import struct

import pytest

from image.elf import read_needed, read_sections, strip_unloaded
from image.errors import FormatError, ImageError
from image.modules import close_modules, module_name, read_info, unpack_module

BASE = "usr/lib/modules/6.12/kernel"


def make_elf(sections: dict[str, bytes], loaded: int = 0) -> bytes:
    """Return an ELF file with `sections`, of which the first `loaded` bytes are to be loaded."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in [*sections, ".shstrtab"])
    contents = {**sections, ".shstrtab": names}
    header_bytes, program_bytes = 64, 56
    body, rows, at = b"", [b"\0" * 64], header_bytes + program_bytes
    for name, content in contents.items():
        name_at = names.index(b"\0" + name.encode() + b"\0") + 1
        rows.append(
            struct.pack("<IIQQQQIIQQ", name_at, 1, 0, 0, at + len(body), len(content), 0, 0, 1, 0)
        )
        body += content
    program = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, loaded, loaded, 4096)
    header = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header += struct.pack(
        "<HHIQQQIHHHHHH",
        3,
        62,
        1,
        0,
        64,
        at + len(body),
        0,
        64,
        56,
        1,
        64,
        len(rows),
        len(rows) - 1,
    )
    return header + program + body + b"".join(rows)


def make_module(*fields: str) -> bytes:
    """Return a module whose .modinfo holds `fields`."""
    return make_elf({".modinfo": b"".join(field.encode() + b"\0" for field in fields)})


MODULES = {
    f"{BASE}/drivers/net/virtio_net.ko.xz": lzma.compress(make_module("depends=net-failover")),
    f"{BASE}/drivers/net/net_failover.ko.xz": lzma.compress(make_module("depends=failover")),
    f"{BASE}/net/core/failover.ko.xz": lzma.compress(make_module("depends=")),
    f"{BASE}/fs/btrfs/btrfs.ko": make_module("depends=", "softdep=pre: crc32c built-in"),
    f"{BASE}/crypto/crc32c.ko": make_module("license=GPL"),
    f"{BASE}/sound/snd.ko": make_module("depends=absent"),
}


def close(*patterns: str, without: tuple[str, ...] = ()) -> list[str]:
    """Return the names of what is chosen from MODULES."""
    chosen = close_modules(MODULES, patterns, without, MODULES.__getitem__)
    return [module_name(path) for path in chosen]


def test_what_a_module_needs_comes_along() -> None:
    assert close("drivers/net/virtio*") == ["net_failover", "virtio_net", "failover"]


def test_what_is_needed_comes_along_even_if_unwanted() -> None:
    assert "failover" in close("drivers/*", without=("net/core/*",))


def test_what_is_wished_for_comes_along_where_it_is_a_module() -> None:
    assert close("fs/*") == ["crc32c", "btrfs"]


def test_what_is_unwanted_stays_out() -> None:
    assert close("crypto/*", "fs/*", without=("fs/*",)) == ["crc32c"]


def test_what_is_needed_and_nowhere_is_an_error() -> None:
    with pytest.raises(ImageError, match="absent"):
        close("sound/*")


def test_what_a_module_says() -> None:
    info = read_info(make_module("alias=pci:v1", "alias=pci:v2", "depends=a,b-c"))
    assert info == {"alias": ["pci:v1", "pci:v2"], "depends": ["a,b-c"]}
    assert read_info(make_elf({})) == {}


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 100, b"x" * 200])
def test_what_is_no_elf_file_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_sections(data)


def test_a_broken_archive_is_refused() -> None:
    with pytest.raises(FormatError, match=r"x\.ko\.xz"):
        unpack_module("x.ko.xz", b"not xz")


def test_needed_libraries() -> None:
    dynamic = struct.pack("<QQQQQQQQ", 1, 1, 14, 5, 1, 11, 0, 0) + struct.pack("<QQ", 1, 1)
    strings = b"\0libc.so.6\0libm.so.6\0"
    assert read_needed(make_elf({".dynamic": dynamic, ".dynstr": strings})) == [
        "libc.so.6",
        "libm.so.6",
    ]
    assert read_needed(make_elf({})) == []


def test_what_is_not_loaded_is_cut() -> None:
    whole = make_elf({".text": b"code" * 8, ".debug_info": b"d" * 5000}, loaded=152)
    cut = strip_unloaded(whole)
    assert len(cut) == 152
    assert cut[64:] == whole[64:152]
    assert read_sections(cut) == {}
    assert strip_unloaded(cut) == cut
    with pytest.raises(FormatError):
        strip_unloaded(b"\x7fELF\x02\x01")
