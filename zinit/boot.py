"""PID 1: setting up the machine before the services start, and shutting it down after them.

`/init` calls `main`, which never returns and never raises: the kernel panics when PID 1 ends.
"""

import os
import sys
import time

from zinit.daemon import Settings, run_daemon
from zinit.life.manager import REBOOT
from zinit.log.console import Console, open_standard
from zinit.log.consoles import Consoles
from zinit.process import kernel
from zinit.process.spawn import DEFAULT_PATH, read_regular, spawn_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Callable
else:
    import _socket

SAFE = kernel.MS_NOSUID | kernel.MS_NODEV
PLAIN = SAFE | kernel.MS_NOEXEC
# source = type, target, flags, data
MOUNTS = (
    ("proc", "/proc", PLAIN, ""),
    ("sysfs", "/sys", PLAIN, ""),
    ("devtmpfs", "/dev", kernel.MS_NOSUID, "mode=0755"),
    ("devpts", "/dev/pts", kernel.MS_NOSUID | kernel.MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666"),
    ("tmpfs", "/dev/shm", SAFE, "mode=1777"),  # noqa: S108
    ("tmpfs", "/run", SAFE, "mode=0755"),
    ("tmpfs", "/tmp", SAFE, "mode=1777"),  # noqa: S108
    ("cgroup2", "/sys/fs/cgroup", PLAIN, "nsdelegate"),
)
LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
)
KEXEC_LOADED = "/sys/kernel/kexec_loaded"
CONSOLES = "/sys/class/tty/console/active"
KEEP = ("/", "/proc", "/sys", "/dev")
TERM_GRACE_S = 2.0
KILL_GRACE_S = 2.0
UNMOUNT_GRACE_S = 30.0
LAST_RESORT_S = 60.0
CRASH_LIMIT = 5


def main(
    settings: Settings | None = None, *, last_file: str | None = None, needs_mib: int = 0
) -> None:
    """Set up the machine, run the services, and finally power off or reboot.

    `last_file` is the last file of the initramfs. If the memory did not suffice to unpack it, that
    is said, with the memory that the system needs, and the machine reboots.
    """
    if "ZINIT_TRIAL" in os.environ:  # a child that tests this program
        from zinit.control.trial import run_trial

        sys.exit(run_trial())
    open_standard("/dev/console", "/dev/null")
    console = Consoles("/dev/console")
    report = console.say
    if last_file and not os.path.exists(last_file):
        give_up(report, describe_shortage(needs_mib))
    try:
        settings = settings or Settings()
        settings.enter_root()
        os.environ.setdefault("PATH", DEFAULT_PATH)
        is_first = "ZINIT_STATE" not in os.environ  # after a re-execution the machine is set up
        if is_first:
            prepare(report)
        console.find(CONSOLES, "/dev")
        if is_first:
            load_device_modules(report)
            report_start(report)
        goal = serve(settings, console)
        finish(goal, report)
    except BaseException:
        give_up(report, "cannot continue, rebooting in a minute:\n" + describe_crash())


def prepare(report: "Callable[[str], None]") -> None:
    """Mount the usual file systems, set the host name, and receive ctrl-alt-del as a signal."""
    os.umask(0o022)
    for kind, target, flags, data in MOUNTS:
        try:
            mount_once(kind, target, flags, data)
        except OSError as error:
            report(f"cannot mount {kind} on {target}: {error.strerror}")
    for target, link in LINKS:
        try:
            os.symlink(target, link)
        except OSError:
            pass  # it exists, or /dev is read-only
    try:
        _socket.sethostname(read_hostname())
    except OSError as error:
        report(f"cannot set the host name: {error.strerror}")
    try:
        kernel.reboot(kernel.CAD_OFF)  # ctrl-alt-del sends SIGINT to PID 1
    except OSError:
        pass  # not permitted in a container


def mount_once(kind: str, target: str, flags: int, data: str) -> None:
    """Mount unless `target` is already a mount point."""
    os.makedirs(target, exist_ok=True)
    if os.stat(target).st_dev == os.stat(os.path.dirname(target)).st_dev:
        kernel.mount(kind, target, kind, flags, data)


def read_hostname(path: str = "/etc/hostname") -> str:
    """Return the host name in `path`, or else `zero-os`."""
    try:
        text = read_regular(path, 4096).decode("ascii", errors="replace")
        return text[:64].strip() or "zero-os"
    except OSError:
        return "zero-os"


def load_device_modules(report: "Callable[[str], None]") -> None:
    """Load the kernel modules for the devices of this machine."""
    from zinit.modules import load_modules

    env = dict(os.environ)

    def spawn(words: list[str]) -> int:
        return spawn_plain(words, env, "/", {})

    start = time.monotonic()
    rounds = load_modules(report, spawn)
    report(f"modules loaded in {time.monotonic() - start:.2f} s, {rounds} rounds")


def report_start(report: "Callable[[str], None]") -> None:
    """Report when PID 1 started, and how many modules it imported."""
    age = time.clock_gettime(time.CLOCK_BOOTTIME)
    count = len(sys.modules)
    report(f"started as PID 1 ({age:.2f} s after kernel start, {count} modules imported)")


def serve(settings: Settings, console: Console) -> str:
    """Run the daemon; after a crash that re-executing did not cure, run another one."""
    for _ in range(CRASH_LIMIT):
        try:
            return run_daemon(settings, console)
        except BaseException:
            console.say("the manager crashed:\n" + describe_crash())
            end_processes()  # the next daemon does not know them and would start each again
            time.sleep(1.0)
    raise RuntimeError(f"the manager crashed {CRASH_LIMIT} times")


def finish(goal: str, report: "Callable[[str], None]") -> None:
    """End all processes, unmount, and power off or reboot: into the kernel that is loaded, if one
    is (kexec), else through the firmware."""
    end_processes()
    is_loaded = goal == REBOOT and is_kernel_loaded()
    if not run_in_child(lambda: unmount(report), UNMOUNT_GRACE_S):
        report("unmounting hangs, going on without it")
    if is_loaded:
        report("starting the loaded kernel now")
        try:
            kernel.reboot(kernel.KEXEC)
        except OSError as error:
            report(f"cannot start the loaded kernel: {error.strerror}")
    report("rebooting now" if goal == REBOOT else "powering off now")
    kernel.reboot(kernel.RESTART if goal == REBOOT else kernel.POWER_OFF)


def is_kernel_loaded() -> bool:
    """Return whether another kernel is loaded for a reboot."""
    try:
        return read_regular(KEXEC_LOADED, 16).strip() == b"1"
    except OSError:
        return False


def unmount(report: "Callable[[str], None]") -> None:
    """Write all data back and unmount all file systems."""
    os.sync()
    unmount_all(report)
    os.sync()


def run_in_child(work: "Callable[[], None]", limit_s: float) -> bool:
    """Run work that may hang in a child process; return whether it ended within the limit."""
    try:
        pid = os.fork()
    except OSError:
        return False
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            done, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if done == pid:
            return True
        if done == 0:
            time.sleep(0.01)
    return False


def end_processes() -> None:
    """Send SIGTERM to all processes, and later SIGKILL to those that are left."""
    for number, grace_s in ((15, TERM_GRACE_S), (9, KILL_GRACE_S)):
        try:
            os.kill(-1, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                time.sleep(0.02)


def unmount_all(report: "Callable[[str], None]") -> None:
    """Unmount all but `KEEP`, last mounted first; remount read-only what cannot be unmounted."""
    for target in reversed(read_mounts()):
        if target in KEEP:
            continue
        try:
            kernel.unmount(target)
        except OSError as error:
            try:
                kernel.remount_read_only(target)
            except OSError:
                report(f"cannot unmount {target}: {error.strerror}")


def read_mounts(path: str = "/proc/self/mounts") -> list[str]:
    """Return all mount points, in the order of mounting.

    Any user who may mount through FUSE chooses names here, so only a newline ends a line.
    """
    try:
        with open(path, "rb") as stream:
            lines = os.fsdecode(stream.read()).split("\n")
    except OSError:
        return []
    return [decode_octal(line.split(" ")[1]) for line in lines if " " in line]


def decode_octal(word: str) -> str:
    """Decode the kernel's octal escapes, such as `\\040` for a space."""
    head, *parts = word.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts)


def describe_crash() -> str:
    """Return the end of the traceback of the exception being handled."""
    import traceback

    return traceback.format_exc()[-3000:]


def describe_shortage(needs_mib: int) -> str:
    """Return what to do about a machine whose memory is too small for the initramfs."""
    usable = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    return (
        f"too little memory: the system could not be unpacked with {usable} MiB beside the kernel; "
        f"a node needs {needs_mib} MiB. Rebooting in a minute"
    )


def give_up(report: "Callable[[str], None]", reason: str) -> None:
    """Report why, reap children for a minute, so that the console can be read, and reboot."""
    report(reason)
    deadline = time.monotonic() + LAST_RESORT_S
    while time.monotonic() < deadline:
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            pass
        time.sleep(0.2)
    run_in_child(os.sync, UNMOUNT_GRACE_S)
    kernel.reboot(kernel.RESTART)
