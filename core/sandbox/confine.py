"""Confines this process to a profile."""

import ctypes
import os
import resource
import sys
from pathlib import Path

from core.sandbox.filter import load_filter
from core.sandbox.profile import Profile
from core.sandbox.status import SandboxError, check_privileges, parse_status

UNCONFINED = "ZOS_UNCONFINED"  # for tests on a host; nothing on a node sets it
STATUS = Path("/proc/self/status")
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
FILTERED = "2"  # SECCOMP_MODE_FILTER


def confine(profile: Profile) -> None:
    """Check who this process is, and limit it; raise `SandboxError` if either fails.

    Call it before starting threads and before reading anything from others.
    """
    if os.environ.get(UNCONFINED) == "1":
        print(f"{profile.name}: runs unconfined, as {UNCONFINED} says", file=sys.stderr, flush=True)
        return
    check_privileges(STATUS.read_text(), profile)
    forbid_dumps()
    control(PR_SET_NO_NEW_PRIVS, 1)
    load_filter(profile)
    check_limits(STATUS.read_text(), profile)


def drop_capabilities() -> None:
    """Give up every capability: what needed them is done. No program can bring them back."""
    if os.environ.get(UNCONFINED) == "1":
        return
    none = (ctypes.c_uint32 * 6)()
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, none) != 0:
        raise SandboxError(f"cannot drop capabilities: {os.strerror(ctypes.get_errno())}")


def forbid_dumps() -> None:
    """Leave no core file, and let no process of the same user read this one's memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    control(PR_SET_DUMPABLE, 0)


def control(option: int, value: int) -> None:
    """Call prctl(2)."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise SandboxError(f"cannot limit this process (prctl {option}): {os.strerror(code)}")


def check_limits(text: str, profile: Profile) -> None:
    """Raise `SandboxError` unless the kernel says that the limits hold."""
    fields = parse_status(text)
    if fields.get("NoNewPrivs") != "1" or fields.get("Seccomp") != FILTERED:
        raise SandboxError(f"cannot run {profile.name}: the kernel does not limit it")
