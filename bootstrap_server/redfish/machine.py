"""A machine behind a management controller: mount an image as its CD, boot from it once, reset.

sushy speaks Redfish, with the workarounds for what controllers do differently. Every wait has a
deadline. If a step fails, or Ctrl-C ends it, the image is ejected and the machine boots as before.
"""

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import sushy
import urllib3
from sushy.auth import SessionOrBasicAuth

from bootstrap_server.redfish.errors import RedfishError, explained

CONNECT_S = 10
READ_S = 60
RETRIES = 3
POLL_S = 2.0

Mode = Literal["uefi", "legacy"]
Say = Callable[[str], None]
MODES = {"uefi": sushy.BootSourceOverrideMode.UEFI, "legacy": sushy.BootSourceOverrideMode.LEGACY}
CDS = {sushy.VirtualMediaType.CD, sushy.VirtualMediaType.DVD}
RESTARTS = (
    sushy.ResetType.FORCE_RESTART,
    sushy.ResetType.POWER_CYCLE,
    sushy.ResetType.GRACEFUL_RESTART,
)


@contextlib.contextmanager
def connected(url: str, user: str, password: str, verify: bool | Path) -> Iterator["sushy.Sushy"]:
    """Give a session with the controller at `url`, which is closed at the end.

    `verify` is the file of trusted authorities, True for those of this system, False for none.
    """
    logging.getLogger("sushy").setLevel(logging.CRITICAL)  # its errors are told by this program
    auth = SessionOrBasicAuth(user, password)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        with explained("connect", url):
            root = sushy.Sushy(
                url,
                auth=auth,
                verify=str(verify) if isinstance(verify, Path) else verify,
                server_side_retries=RETRIES,
                read_timeout=READ_S,
                connect_timeout=CONNECT_S,
            )
        try:
            yield root
        finally:
            with contextlib.suppress(sushy.exceptions.SushyError):
                auth.close()


def find_machine(root: Any, url: str, wanted: str, say: Say) -> "Machine":
    """Return the controller's machine, or the one of several that `wanted` names."""
    with explained("list the machines", url):
        systems = root.get_system_collection().get_members()
    named = [s for s in systems if wanted in (s.identity, s.name, s.uuid)] if wanted else systems
    names = ", ".join(f"{system.identity} ({system.name})" for system in systems)
    if not systems:
        raise RedfishError(f"cannot choose a machine: {url} manages none")
    if not named:
        raise RedfishError(f"cannot choose a machine: {url} has no {wanted!r}", hint=names)
    if len(named) > 1:
        hint = f"--system NAME, one of {names}"
        raise RedfishError(f"cannot choose a machine: {url} manages several", hint=hint)
    say(f"the machine is {named[0].identity} ({named[0].name}), power {power_of(named[0])}")
    return Machine(named[0], url, say)


def power_of(system: Any) -> str:
    """Return a machine's power state as a word."""
    return str(system.power_state.value).lower() if system.power_state else "unknown"


class Machine:
    """One machine; `say` is told of each step."""

    def __init__(self, system: Any, url: str, say: Say) -> None:
        self.system = system
        self.url = url
        self.say = say
        self.before: dict[str, Any] = {}  # how it was to boot before this program changed that

    def boot_from(self, image: str, mode: Mode | None, timeout_s: float) -> None:
        """Boot the machine from an image, once. Raises `RedfishError`."""
        device = self.find_cd()
        try:
            self.eject_from(device)
            self.insert(device, image, timeout_s)
            self.boot_once_from_cd(mode)
            self.reset(timeout_s)
        except BaseException:
            self.undo(device)
            raise

    def eject(self) -> None:
        """Eject what is mounted, and take back a start from the CD that has not happened yet."""
        self.eject_from(self.find_cd())
        boot = self.system.boot
        is_due = boot and boot.enabled == sushy.BootSourceOverrideEnabled.ONCE
        if is_due and boot.target == sushy.BootSource.CD:
            with explained("take back the start from the CD", self.url):
                no = sushy.BootSourceOverrideEnabled.DISABLED
                self.system.set_system_boot_options(enabled=no)

    def find_cd(self) -> Any:
        """Return the virtual media device that takes CD images. Raises `RedfishError`."""
        places = [self.system]
        with (
            explained("look for virtual media", self.url),
            contextlib.suppress(sushy.exceptions.MissingAttributeError),
        ):
            places += self.system.managers
        found = False
        for place in places:
            with explained("look for virtual media", self.url):
                for device in list_media(place):
                    found = True
                    if CDS & set(device.media_types or ()):
                        return device
        if found:
            raise RedfishError(f"cannot mount an image: {self.url} has no virtual CD, only others")
        raise RedfishError(
            f"cannot mount an image: {self.url} has no virtual media",
            hint="some controllers need a license for it; the machine can boot from the network",
        )

    def eject_from(self, device: Any) -> None:
        """Eject what is in a device, if anything is."""
        with explained("eject what is mounted", self.url):
            device.refresh(force=True)
            if not device.inserted:
                return
            self.say(f"ejecting {device.image or 'what is mounted'}")
            device.eject_media()

    def insert(self, device: Any, image: str, timeout_s: float) -> None:
        """Mount an image, and wait until it is."""
        self.say(f"mounting {image} as {device.name or device.identity}")
        with explained(f"mount {image}", self.url):
            device.insert_media(image)
        self.wait(device, lambda: bool(device.inserted), f"mount {image}", timeout_s)

    def boot_once_from_cd(self, mode: Mode | None) -> None:
        """Have the next start, and only that, boot from the CD."""
        self.say("the next start is from the CD" + (f", by {mode}" if mode else ""))
        boot = self.system.boot
        self.before = {"target": boot.target, "enabled": boot.enabled} if boot else {}
        self.before |= {"mode": boot.mode} if boot and mode else {}
        with explained("choose the CD for the next start", self.url):
            self.system.set_system_boot_options(
                target=sushy.BootSource.CD,
                enabled=sushy.BootSourceOverrideEnabled.ONCE,
                mode=MODES[mode] if mode else None,
            )

    def boot_as_before(self) -> None:
        """Take the choice of the CD back, if it was made."""
        if self.before:
            with explained("take back the start from the CD", self.url):
                self.system.set_system_boot_options(**self.before)

    def reset(self, timeout_s: float) -> None:
        """Start the machine, again if it runs, and wait until it has power."""
        with explained("reset the machine", self.url):
            self.system.refresh(force=True)
            kind = self.choose_reset()
            self.say(f"resetting the machine ({kind.value})")
            self.system.reset_system(kind)

        def is_on() -> bool:
            return power_of(self.system) == "on"

        self.wait(self.system, is_on, "start the machine", timeout_s)
        self.say("the machine starts")

    def choose_reset(self) -> "sushy.ResetType":
        """Return what starts the machine in its state, of what the controller allows."""
        if self.system.power_state == sushy.PowerState.OFF:
            return sushy.ResetType.ON
        allowed = self.system.get_allowed_reset_system_values()
        return next((kind for kind in RESTARTS if kind in allowed), RESTARTS[0])

    def wait(self, resource: Any, is_done: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until a resource is as it should be. Raises `RedfishError` after the deadline."""
        deadline = time.monotonic() + timeout_s
        while True:
            with explained(what, self.url):
                resource.refresh(force=True)
            if is_done():
                return
            if time.monotonic() > deadline:
                raise RedfishError(f"cannot {what}: it was not done within {timeout_s:g} s")
            time.sleep(POLL_S)

    def undo(self, device: Any) -> None:
        """Eject the image and take the choice of the CD back, as far as that is possible."""
        for step in (partial(self.eject_from, device), self.boot_as_before):
            try:
                step()
            except RedfishError as error:
                self.say(f"also: {error.message}")


def list_media(place: Any) -> list[Any]:
    """Return the virtual media of a system or a manager: newer controllers have the former."""
    try:
        return list(place.virtual_media.get_members())
    except (sushy.exceptions.MissingAttributeError, sushy.exceptions.ResourceNotFoundError):
        return []
