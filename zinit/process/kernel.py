"""System calls that Python does not wrap, called through the C library."""

import ctypes
import os

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
POWER_OFF = 0x4321FEDC
RESTART = 0x01234567
KEXEC = 0x45584543
CAD_OFF = 0
CLONE_NEWNET = 0x40000000
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_CHILD_SUBREAPER = 36
ENOSYS = 38
SYS_OPENAT2 = 437  # on every architecture
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_IN_ROOT = 0x10

_LIBC = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raise OSError about `what` if a call failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    words = (source.encode(), target.encode(), kind.encode())
    check(_LIBC.mount(*words, ctypes.c_ulong(flags), data.encode()), target)


def unmount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    check(_LIBC.umount2(os.fsencode(target), flags), target)


def remount_read_only(target: str) -> None:
    """Remount `target` read-only."""
    flags = ctypes.c_ulong(MS_REMOUNT | MS_RDONLY)
    check(_LIBC.mount(None, os.fsencode(target), None, flags, None), target)


def reboot(command: int) -> None:
    """reboot(2); returns only on failure or for CAD_OFF."""
    check(_LIBC.reboot(ctypes.c_int(command - (1 << 32) if command >> 31 else command)), "reboot")


def prctl(option: int, first: int = 0, second: int = 0) -> None:
    """prctl(2)."""
    words = [ctypes.c_ulong(word) for word in (first, second, 0, 0)]
    check(_LIBC.prctl(ctypes.c_int(option), *words), "prctl")


def set_capabilities(mask: int) -> None:
    """capset(2): make `mask` the permitted, effective and inheritable set of this process."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
    check(_LIBC.capset(header, data), "capset")


def set_namespace(fd: int) -> None:
    """setns(2); refuses a descriptor that is not a network namespace."""
    check(_LIBC.setns(ctypes.c_int(fd), ctypes.c_int(CLONE_NEWNET)), "setns")


def open_in_root(top: int, path: str, flags: int) -> int:
    """openat2(2): open `path` as if the folder `top` were the root directory."""
    how = (ctypes.c_uint64 * 3)(flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    number = ctypes.c_long(SYS_OPENAT2)
    fd: int = _LIBC.syscall(number, top, path.encode(), ctypes.byref(how), ctypes.sizeof(how))
    check(min(fd, 0), path)
    return fd
