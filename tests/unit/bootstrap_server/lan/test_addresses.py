"""The addresses that a mirror has, and which of them never change."""

import pytest

from bootstrap_server.lan.addresses import rules_of
from serving.mirror.addresses import Address, Addresses

HEX = "0123456789abcdef" * 4
ADDRESSES = Addresses(rules_of("dev"))


@pytest.mark.parametrize(
    ("path", "is_kept"),
    [
        ("/kernel/dev/release.ipxe", False),
        ("/kernel/dev/0.1.0/release.ipxe", False),
        (f"/kernel/dev/{HEX[:32]}/release.ipxe", False),
        (f"/kernel/dev/{HEX[:32]}/vmlinuz", True),
        ("/kernel/dev/initramfs.zst", False),
        ("/channel/metadata/timestamp.json", False),
        ("/channel/metadata/12.snapshot.json", True),
    ],
)
def test_addresses_of_the_server(path: str, is_kept: bool) -> None:
    assert ADDRESSES.find(path) == Address(path, "server", path, is_kept)


def test_addresses_that_say_their_digest() -> None:
    path = f"/channel/targets/dev/{HEX}.vmlinuz"
    assert ADDRESSES.find(path) == Address(path, "server", path, True, sha256=HEX)
    for target in (f"/blocks/01/{HEX}", f"/blocks/{HEX}"):
        found = ADDRESSES.find(f"/hub{target}")
        assert found == Address(f"/hub{target}", "hub", target, True, block=HEX)


@pytest.mark.parametrize(
    "target", ["/zos/root.fl", "/zos/root.fl.sig", "/flists/zos/zero-os-dev.fl"]
)
def test_flists_change(target: str) -> None:
    assert ADDRESSES.find(f"/hub{target}") == Address(f"/hub{target}", "hub", target, False)


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/kernel/prod/vmlinuz", "/kernel/dev/", "/kernel/dev/../x", "/kernel/dev/a/vmlinuz"),
        *("/kernel/dev/vmlinuz\n", "/kernel/devx/vmlinuz", "/channel/metadata/root.json"),
        *(f"/channel/targets/prod/{HEX}.vmlinuz", "/channel/targets/dev/abc.vmlinuz"),
        *("/hub/api/flist", "/hub/blocks/01/abc", f"/hub/blocks/{HEX.upper()}", "/hub/a/b/c/d.fl"),
        *("/hub/../kernel.fl", "/hub/.x/y.fl", "/hub/x/.fl", "/boot/ready", "/hub/zos/root.fl?x"),
    ],
)
def test_all_others_are_not_there(path: str) -> None:
    assert ADDRESSES.find(path) is None
