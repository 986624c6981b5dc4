"""Runs daemons of Core-0 as on a node: users, capabilities, filters, and a /run of their own.

The test's process forks a stage, which has its own mounts; each daemon is a fork of the stage.
"""

import contextlib
import ctypes
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common.ipc.server import Method, Server
from common.mounts import MS_BIND, mount
from core.places import RUN
from core.sandbox.profile import Profile
from tests.helpers.needs import need_root
from tests.helpers.processes import process_state
from tests.helpers.waiting import wait_until
from zinit.process import capabilities

CLONE_NEWNS = 0x20000
MS_PRIVATE_REC = 0x44000
ENDED = ("", "Z")
WAIT_S = 60


def run_on_stage(work: Callable[[], None]) -> None:
    """Run `work` in a child process with a /run of its own; fail if it fails. Needs root."""
    need_root()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(240)
            prepare_stage()
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, "the stage failed; its output says why"


def prepare_stage() -> None:
    """Leave the host's mounts."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "cannot leave the host's mounts")
    mount("none", Path("/"), "", MS_PRIVATE_REC)
    mount("tmpfs", Path("/run"), "tmpfs", options="mode=755")
    RUN.mkdir()


def set_command_line(text: str) -> None:
    """Let the stage's processes see another command line of the kernel."""
    place = RUN / "cmdline"
    place.write_text(text)
    mount(str(place), Path("/proc/cmdline"), "", MS_BIND)


@contextlib.contextmanager
def served(name: str, methods: Mapping[str, Method]) -> Iterator[None]:
    """Serve in the place of a daemon."""
    (RUN / name).mkdir()
    with Server(RUN / name / "socket", methods):
        yield


@contextlib.contextmanager
def daemon(profile: Profile, main: Callable[[], Any]) -> Iterator[int]:
    """Run a daemon until the block ends; yield its process. It answers once the block begins."""
    folder = RUN / profile.name
    folder.mkdir(exist_ok=True)
    (folder / "socket").unlink(missing_ok=True)  # of an earlier one
    os.chown(folder, profile.user.number, profile.user.number)
    child = os.fork()
    if child == 0:
        try:
            become(profile)
            main()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    try:
        wait_until(lambda: (folder / "socket").exists() or gone(child), profile.name, WAIT_S)
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        wait_until(lambda: gone(child), f"{profile.name} ends", WAIT_S)
        status = os.waitpid(child, 0)[1]
    assert status == 0, f"{profile.name} ended with {status}"


def gone(process: int) -> bool:
    """Return whether a process has ended."""
    return process_state(process) in ENDED


def become(profile: Profile) -> None:
    """Do what zinit does before it starts a service."""
    signal.alarm(0)
    kept, number = tuple(profile.capabilities), profile.user.number
    capabilities.limit_bounding_set(kept)
    capabilities.keep_over_setuid()
    os.setgroups([number])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)
    capabilities.set_exactly(kept)
    capabilities.forbid_new_privileges()
