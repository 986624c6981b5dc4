"""Hypervisors, Secure Boot, and what the system keeps."""

import json

import pytest

from core.capacity.platform import (
    GIB,
    SECURE_BOOT_AT,
    Signs,
    has_hypervisor_bit,
    hypervisor_of,
    parse_boot_params,
    parse_secure_boot,
    reserved_memory,
)
from tests.helpers.samples import samples_dir


@pytest.mark.parametrize(
    ("signs", "word"),
    [
        (Signs("Dell Inc.", "PowerEdge R750"), ""),
        (Signs(), ""),
        (Signs("QEMU", "Standard PC", True, frozenset({"kvm-clock", "tsc"})), "kvm"),
        (Signs("QEMU", "Standard PC", True, frozenset({"tsc", "hpet"})), "qemu"),
        (Signs("QEMU", "KVM Virtual Machine"), "qemu"),
        (Signs(kind="linux,kvm\0"), "kvm"),
        (Signs(kind="xen"), "xen"),
        (Signs("Xen", "HVM domU", True), "xen"),
        (Signs("VMware, Inc.", "VMware7,1", True), "vmware"),
        (Signs("innotek GmbH", "VirtualBox", True), "virtualbox"),
        (Signs("Microsoft Corporation", "Virtual Machine", True), "hyperv"),
        (Signs("Microsoft Corporation", "Surface Pro", False), ""),
        (Signs("Amazon EC2", "m5.metal", False), ""),
        (Signs("Amazon EC2", "m5.large", True, frozenset({"kvm-clock"})), "kvm"),
        (Signs("Google", "Google Compute Engine", True), "google_cloud"),
        (Signs("Who", "Knows", True), "unknown"),
        (Signs("Who", "Knows", True, frozenset({"hyperv_clocksource_tsc_page"})), "hyperv"),
    ],
)
def test_hypervisors_have_their_words(signs: Signs, word: str) -> None:
    assert hypervisor_of(signs) == word


def test_the_processor_s_bit_is_a_flag() -> None:
    assert has_hypervisor_bit("vendor_id\t: X\nflags\t\t: fpu hypervisor lm\n")
    assert not has_hypervisor_bit("model name\t: hypervisor\nflags\t\t: fpu lm\n")
    assert not has_hypervisor_bit("")


def test_the_system_keeps_what_upstream_s_does() -> None:
    cases = json.loads((samples_dir() / "capacity" / "node.json").read_text())["reserved_memory"]
    for case in cases:
        wanted = min(case["reserved_mru"], case["mem_total"])
        assert reserved_memory(case["mem_total"]) == wanted


def test_the_system_keeps_no_more_than_there_is() -> None:
    """Upstream keeps 2 GiB of 512 MiB."""
    assert reserved_memory(512 << 20) == 512 << 20
    assert reserved_memory(0) == 0


def test_units_are_of_1024() -> None:
    units = json.loads((samples_dir() / "capacity" / "node.json").read_text())["unit_constants"]
    assert units["gigabyte"] == GIB


@pytest.mark.parametrize(
    ("variable", "found"),
    [
        (b"\x06\0\0\0\1", True),
        (b"\x06\0\0\0\0", False),
        (b"", None),
        (b"\x06\0\0\0", None),
        (b"\x06\0\0\0\1\1", None),
    ],
)
def test_secure_boot_is_a_byte_of_a_variable(variable: bytes, found: bool | None) -> None:
    assert parse_secure_boot(variable) == found


@pytest.mark.parametrize(
    ("state", "found"), [(0, None), (1, None), (2, False), (3, True), (9, None)]
)
def test_else_the_kernel_noted_it(state: int, found: bool | None) -> None:
    params = bytearray(4096)
    params[SECURE_BOOT_AT] = state
    assert parse_boot_params(bytes(params)) == found
    assert parse_boot_params(b"") is None
