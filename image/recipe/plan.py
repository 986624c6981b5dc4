"""What goes into every release, whatever its profile; paths are globs, in which "*" also matches
slashes.
"""

from common.debian.programs import LIBRARY_FOLDER, LOADER
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
STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
# The kernel command line of the UKI. With Secure Boot on, the firmware can't add words to it.
PARAMETERS = ("console=tty0", "console=ttyS0,115200n8", "panic=60", "nomodeset")

PYTHON = "usr/bin/python3.13"
STDLIB = "usr/lib/python3.13"
PROJECT = "usr/lib/zero-os"

# -- the system ------------------------------------------------------------------------------

SYSTEM_FILES = (
    LOADER,
    PYTHON,
    "usr/bin/kmod",
    "usr/sbin/modprobe",
    "usr/sbin/insmod",
    "usr/sbin/rmmod",
    "usr/sbin/lsmod",
    "usr/lib/modprobe.d/*",
    f"{LIBRARY_FOLDER}/ossl-modules/legacy.so",  # cryptography is not imported without it
)

# Loaded by name at run time, so no file lists them as needed: for thread cancellation in glibc, and
# for compressed modules in kmod.
LOADED_LIBRARIES = ("libgcc_s.so.1", "liblzma.so.5", "libzstd.so.1")

SYMLINKS = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "usr/lib64/ld-linux-x86-64.so.2": f"/{LOADER}",
    "usr/bin/python3": "python3.13",
    "usr/lib/ssl/cert.pem": "/etc/ssl/certs/ca-certificates.crt",
    "usr/lib/ssl/certs": "/etc/ssl/certs",
    "var/run": "../run",
    "var/lock": "../run/lock",
    "etc/mtab": "../proc/self/mounts",
}

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
    "var/tmp": 0o1777,
}

# Without urandom, Python as PID 1 ends at once; without console, its output is lost.
DEVICES = {
    "dev/console": Device("c", 5, 1, 0o600),
    "dev/kmsg": Device("c", 1, 11, 0o600),
    "dev/null": Device("c", 1, 3, 0o666),
    "dev/urandom": Device("c", 1, 9, 0o666),
}

# The last file of the initramfs: it is missing where the memory did not suffice to unpack all.
LAST_FILE = "etc/zero-os/unpacked"
MEMORY_MIB = 512  # what a node needs, as docs/farmer.md says

CERTIFICATES = "usr/share/ca-certificates/mozilla/*.crt"
CERTIFICATE_BUNDLE = "etc/ssl/certs/ca-certificates.crt"

# Parts of the standard library that are not even candidates.
STDLIB_WITHOUT = (f"{STDLIB}/config-3.13*", f"{STDLIB}/test/*", f"{STDLIB}/idlelib/*")
