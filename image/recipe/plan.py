"""What goes into every release, whatever its profile; paths are globs, in which "*" also matches
slashes. `kind.py` says what of it is in the flist `zos-core`.
"""

from collections.abc import Mapping

from common.debian.architecture import Architecture
from image.model import Device

# Debian packages of every profile; their dependencies are added. The build uses single files.
PACKAGES = (
    "ca-certificates",
    "kmod",
    "libgcc-s1",
    "libpython3.13-stdlib",
    "python3-cryptography",
    "python3-zstandard",
    "python3.13-minimal",
    "systemd-boot-efi",
)

# Requirements of the project that these packages meet: for one OpenSSL and one libzstd.
FROM_DEBIAN = ("cryptography", "zstandard")

# linux-image-cloud-* is smaller, but lacks the drivers of most emulated cards and disks.
KERNEL_PACKAGE = "linux-image-{architecture}"
MICROCODE_PACKAGES = ("amd64-microcode", "intel-microcode")

# The packages that a build for another architecture runs: depmod, and the same version of Python.
TOOLS = ("kmod", "libgcc-s1", "libpython3.13-stdlib", "python3.13-minimal")

PYTHON = "usr/bin/python3.13"
STDLIB = "usr/lib/python3.13"
PROJECT = "usr/lib/zero-os"

# -- the UKI ---------------------------------------------------------------------------------


def stub(target: Architecture) -> str:
    """Return the path of systemd's stub, the program of a UKI."""
    return f"usr/lib/systemd/boot/efi/linux{target.efi}.efi.stub"


def parameters(target: Architecture) -> tuple[str, ...]:
    """Return the kernel command line of a UKI.

    With Secure Boot on, the firmware can't add words to it.
    """
    return ("console=tty0", f"console={target.console},115200n8", "panic=60", "nomodeset")


# -- the system ------------------------------------------------------------------------------

SYSTEM_FILES = (
    PYTHON,
    "usr/bin/kmod",
    "usr/sbin/modprobe",
    "usr/sbin/insmod",
    "usr/sbin/rmmod",
    "usr/sbin/lsmod",
    "usr/lib/modprobe.d/*",
)


def system_files(target: Architecture, files: tuple[str, ...] = SYSTEM_FILES) -> tuple[str, ...]:
    """Return the files of the system, or globs; `cryptography` needs OpenSSL's legacy module."""
    return (*files, target.loader, f"{target.libraries}/ossl-modules/legacy.so")


# Loaded by name at run time, so no file lists them as needed: for thread cancellation in glibc, and
# for compressed modules in kmod.
LOADED_LIBRARIES = ("libgcc_s.so.1", "liblzma.so.5", "libzstd.so.1")

SYMLINKS = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "usr/bin/python3": "python3.13",
    "usr/lib/ssl/cert.pem": "/etc/ssl/certs/ca-certificates.crt",
    "usr/lib/ssl/certs": "/etc/ssl/certs",
    "var/run": "../run",
    "var/lock": "../run/lock",
    "etc/mtab": "../proc/self/mounts",
}


def symlinks(target: Architecture, links: Mapping[str, str] = SYMLINKS) -> Mapping[str, str]:
    """Return the links of the system; programs find their loader by one."""
    links = {**links, target.interpreter: f"/{target.loader}"}
    if target.interpreter.startswith("usr/lib64/"):
        links["lib64"] = "usr/lib64"
    return links


DIRECTORIES = {
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "mnt": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "var/cache": 0o755,
    "var/lib": 0o755,
    "var/log": 0o755,
}

# Without urandom, Python as PID 1 ends at once; without console, its output is lost.
DEVICES = {
    "dev/console": Device("c", 5, 1, 0o600),
    "dev/kmsg": Device("c", 1, 11, 0o600),
    "dev/null": Device("c", 1, 3, 0o666),
    "dev/urandom": Device("c", 1, 9, 0o666),
}

SMALL_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/usr/bin/zos\n"
    "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ntty:x:5:\ndisk:x:6:\nkvm:x:104:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/hostname": "zero-os\n",
}

# The last file of the initramfs: it is missing where the memory did not suffice to unpack all.
LAST_FILE = "etc/zero-os/unpacked"
MEMORY_MIB = 512  # what a node needs, as docs/farmer.md says

CERTIFICATES = "usr/share/ca-certificates/mozilla/*.crt"
CERTIFICATE_BUNDLE = "etc/ssl/certs/ca-certificates.crt"

# Parts of the standard library that are not even candidates.
STDLIB_WITHOUT = (f"{STDLIB}/config-3.13*", f"{STDLIB}/test/*", f"{STDLIB}/idlelib/*")
