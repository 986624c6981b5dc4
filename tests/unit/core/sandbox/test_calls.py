"""The table of system calls."""

from core.sandbox.calls import AFTER_PROGRAMS, ALLOWED, PROGRAMS, SOCKETS
from core.sandbox.filter import load_library

# What a process could change the system with, or leave its limits by.
DANGEROUS = (
    "acct add_key adjtimex bpf chown chroot clock_adjtime clock_settime clone3 delete_module "
    "fchown finit_module fsconfig fsmount fsopen init_module io_uring_setup ioperm iopl kcmp "
    "kexec_file_load kexec_load keyctl lchown mbind mknod mknodat mount mount_setattr move_mount "
    "move_pages name_to_handle_at open_by_handle_at open_tree perf_event_open personality "
    "pidfd_getfd pivot_root process_vm_readv process_vm_writev ptrace quotactl reboot request_key "
    "setdomainname setfsuid setgid setgroups sethostname setns setresgid setresuid setreuid "
    "settimeofday setuid swapoff swapon syslog umount2 unshare userfaultfd vhangup"
)


def test_no_call_is_named_twice() -> None:
    names = [*ALLOWED, *PROGRAMS, *AFTER_PROGRAMS, *SOCKETS, "clone"]
    assert len(names) == len(set(names))


def test_no_dangerous_call_is_allowed() -> None:
    assert set(DANGEROUS.split()).isdisjoint([*ALLOWED, *PROGRAMS, *AFTER_PROGRAMS])


def test_libseccomp_knows_the_names() -> None:
    """A misspelt name would never be allowed."""
    library = load_library()
    newer = {"riscv_hwprobe", "futex_waitv"}  # than some libseccomp
    unknown = {name for name in [*ALLOWED, *PROGRAMS, *AFTER_PROGRAMS] if is_unknown(library, name)}
    assert unknown <= newer


def is_unknown(library: object, name: str) -> bool:
    number: int = library.resolve_syscall(library.Arch.NATIVE, name)  # type: ignore[attr-defined]
    return number == -1  # __NR_SCMP_ERROR; other negative numbers are of other architectures
