"""What a machine is: virtual or not, securely booted or not; what it keeps for itself. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

GIB = 1 << 30
RESERVED_LEAST = 2 * GIB

# Words that `virt-what` prints, by what the firmware says: its vendor, a part of the product.
MACHINES = (
    ("VMware", "", "vmware"),
    ("innotek GmbH", "", "virtualbox"),
    ("", "VirtualBox", "virtualbox"),
    ("Microsoft Corporation", "Virtual Machine", "hyperv"),
    ("Parallels", "", "parallels"),
    ("BHYVE", "", "bhyve"),
    ("Xen", "", "xen"),
    ("Amazon EC2", "", "aws"),
    ("Google", "Compute Engine", "google_cloud"),
    ("Alibaba Cloud", "", "alibaba_cloud"),
    ("Nutanix", "AHV", "nutanix_ahv"),
)
EMULATORS = ("QEMU", "Bochs", "Red Hat", "KubeVirt", "oVirt", "OpenStack Foundation")
KVM, QEMU, XEN, HYPERV, UNKNOWN = "kvm", "qemu", "xen", "hyperv", "unknown"


@dataclass(frozen=True)
class Signs:
    """What shows that a machine is virtual.

    `has_bit` is the processor's hypervisor bit (CPUID leaf 1), `clocks` are the clock sources that
    the kernel offers, `kind` is /sys/hypervisor/type or what a device tree says.
    """

    vendor: str = ""
    product: str = ""
    has_bit: bool = False
    clocks: frozenset[str] = frozenset()
    kind: str = ""


def hypervisor_of(signs: Signs) -> str:
    """Return the word for the hypervisor, "" for a real machine.

    "kvm" is QEMU with KVM, and "qemu" QEMU that emulates, as `virt-what` has it. Microsoft's and
    Amazon's names are also on real machines, so those also need the processor's bit.
    """
    if XEN in signs.kind:
        return XEN
    for vendor, product, word in MACHINES:
        is_named = signs.vendor.startswith(vendor) and product in signs.product
        if is_named and (signs.has_bit or word not in (HYPERV, "aws")):
            return KVM if word == "aws" and "kvm-clock" in signs.clocks else word
    if "kvm-clock" in signs.clocks or "kvm" in signs.kind:
        return KVM
    if any(clock.startswith("hyperv") for clock in signs.clocks):
        return HYPERV
    if signs.vendor.startswith(EMULATORS):
        return QEMU
    return UNKNOWN if signs.has_bit else ""


def has_hypervisor_bit(cpuinfo: str) -> bool:
    """Return whether /proc/cpuinfo shows the bit, which Linux calls a flag."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return "hypervisor" in value.split()
    return False


def reserved_memory(total: int) -> int:
    """Return what the system keeps: a tenth, at least 2 GiB, as upstream; never more than all.

    (Upstream keeps 2 GiB of a machine that has 512 MiB.)
    """
    return min(max(total // 10, RESERVED_LEAST), total)


def parse_secure_boot(variable: bytes) -> bool | None:
    """Return what the EFI variable `SecureBoot` says: 4 bytes of attributes and 1; else None."""
    return variable[4] == 1 if len(variable) == 5 else None


SECURE_BOOT_AT = 0x1EC
SECURE_BOOT_STATES: Mapping[int, bool] = {2: False, 3: True}  # enum efi_secureboot_mode


def parse_boot_params(params: bytes) -> bool | None:
    """Return what the kernel's EFI stub noted in its boot parameters (x86); None if it did not."""
    state = params[SECURE_BOOT_AT] if len(params) > SECURE_BOOT_AT else 0
    return SECURE_BOOT_STATES.get(state)
