"""The seccomp filter of a profile, made by libseccomp.

It is an allow list. The kernel logs each refusal (audit records of type 1326 with the call's
number), and ends a process that makes calls of another architecture.
"""

import ctypes.util
import errno
from types import ModuleType

from core.sandbox.calls import AFTER_PROGRAMS, ALLOWED, PROGRAMS, SOCKETS
from core.sandbox.profile import Profile
from core.sandbox.status import SandboxError

LIBRARIES = {"c": "libc.so.6", "seccomp": "libseccomp.so.2"}
FAMILIES = 64  # the kernel has fewer (AF_MAX in linux/socket.h)
CLONE_THREAD = 0x00010000
# CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (linux/sched.h)
CLONE_NEW = 0x80 | 0x20000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x60000000


def load_library() -> ModuleType:
    """Return pyseccomp; raise `SandboxError` if libseccomp is missing.

    pyseccomp looks for the libraries with `find_library`, which runs ldconfig, gcc and ld: slow,
    and a node has none of them.
    """
    find_library = ctypes.util.find_library
    ctypes.util.find_library = LIBRARIES.get  # type: ignore[assignment]
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError) as error:
        raise SandboxError(f"cannot limit system calls: {error}") from error
    finally:
        ctypes.util.find_library = find_library
    found: ModuleType = pyseccomp
    return found


def load_filter(profile: Profile) -> None:
    """Limit every thread of this process. It also sets no_new_privs."""
    library = load_library()
    try:
        rules = library.SyscallFilter(library.ERRNO(errno.ENOSYS))
        rules.set_attr(library.Attr.CTL_TSYNC, 1)
        rules.set_attr(library.Attr.CTL_LOG, 1)
        rules.set_attr(library.Attr.CTL_OPTIMIZE, 2)  # a tree of numbers instead of a list
        add_rules(library, rules, profile)
        rules.load()
    except OSError as error:
        raise SandboxError(f"cannot limit system calls: {error.strerror}") from error


def add_rules(library: ModuleType, rules: object, profile: Profile) -> None:
    """Add what the profile allows."""
    names = ALLOWED + (PROGRAMS + AFTER_PROGRAMS if profile.has_programs else [])
    for name in names:
        add(library, rules, library.ALLOW, name)
    if not profile.has_programs:
        for name in PROGRAMS:
            add(library, rules, library.ERRNO(errno.EPERM), name)
    add_clone(library, rules, profile.has_programs)
    for name in SOCKETS:
        add_families(library, rules, name, profile)


def add_clone(library: ModuleType, rules: object, has_programs: bool) -> None:
    """Allow threads, and processes for who runs programs; never a new namespace.

    A filter can't see the flags of clone3, so glibc is left to fall back to clone.
    """
    arg, masked = library.Arg, library.MASKED_EQ
    seen = CLONE_NEW | CLONE_THREAD
    processes = library.ALLOW if has_programs else library.ERRNO(errno.EPERM)
    add(library, rules, library.ALLOW, "clone", arg(0, masked, seen, CLONE_THREAD))
    add(library, rules, processes, "clone", arg(0, masked, seen, 0))


def add_families(library: ModuleType, rules: object, name: str, profile: Profile) -> None:
    """Allow sockets of the profile's families; others fail as if the kernel had none of them."""
    for family in range(FAMILIES):
        is_allowed = family in profile.families
        action = library.ALLOW if is_allowed else library.ERRNO(errno.EAFNOSUPPORT)
        add(library, rules, action, name, library.Arg(0, library.EQ, family))


def add(library: ModuleType, rules: object, action: int, name: str, *args: object) -> None:
    """Add a rule, if this architecture has the call and libseccomp knows it."""
    number = library.resolve_syscall(library.Arch.NATIVE, name)
    if number >= 0:
        rules.add_rule(action, number, *args)  # type: ignore[attr-defined]
