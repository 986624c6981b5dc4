"""The selection of kernel modules, made by hand, with their dependencies."""

import lzma

import pytest

from image.errors import FormatError, ImageError
from image.parts.modules import close_modules, module_name, read_info, unpack_module
from tests.helpers.elf import make_elf

BASE = "usr/lib/modules/6.12/kernel"


def make_module(*fields: str) -> bytes:
    """Return a module whose .modinfo section contains `fields`."""
    return make_elf({".modinfo": b"".join(field.encode() + b"\0" for field in fields)})


MODULES = {
    f"{BASE}/drivers/net/virtio_net.ko.xz": lzma.compress(make_module("depends=net-failover")),
    f"{BASE}/drivers/net/net_failover.ko.xz": lzma.compress(make_module("depends=failover")),
    f"{BASE}/net/core/failover.ko.xz": lzma.compress(make_module("depends=")),
    f"{BASE}/fs/btrfs/btrfs.ko": make_module("depends=", "softdep=pre: crc32c built-in"),
    f"{BASE}/crypto/crc32c.ko": make_module("license=GPL"),
    f"{BASE}/sound/snd.ko": make_module("depends=absent"),
}


def close(*patterns: str) -> list[str]:
    """Return the names of the modules chosen from MODULES."""
    chosen = close_modules(MODULES, patterns, MODULES.__getitem__)
    return [module_name(path) for path in chosen]


def test_dependencies_are_included() -> None:
    assert close("drivers/net/virtio*") == ["net_failover", "virtio_net", "failover"]


def test_unwanted_dependencies_are_included() -> None:
    assert "failover" in close("drivers/*", "!net/core/*")


def test_soft_dependencies_are_included_if_they_exist() -> None:
    assert close("fs/*") == ["crc32c", "btrfs"]


def test_unwanted_modules_are_left_out() -> None:
    assert close("crypto/*", "fs/*", "!fs/*") == ["crc32c"]
    assert close("crypto/*", "!fs/*", "!crypto/*", "crypto/*") == ["crc32c"]


def test_a_missing_dependency_is_an_error() -> None:
    with pytest.raises(ImageError, match="absent"):
        close("sound/*")


def test_module_information() -> None:
    info = read_info(make_module("alias=pci:v1", "alias=pci:v2", "depends=a,b-c"))
    assert info == {"alias": ["pci:v1", "pci:v2"], "depends": ["a,b-c"]}
    assert read_info(make_elf({})) == {}


def test_a_broken_compressed_module_is_refused() -> None:
    with pytest.raises(FormatError, match=r"x\.ko\.xz"):
        unpack_module("x.ko.xz", b"not xz")
