"""One report of a boot's stage, as iPXE and nodes send it. Checked; nothing of it is trusted.

What begins a boot is decided here, by a table: see `begins_boot`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bootstrap_server.errors import InputError
from bootstrap_server.nodes.identity import SERIAL_MAX_CHARS, Identity, parse_identity
from common.farms import FARM_MAX
from common.runmodes import RUN_MODES

DETAIL_MAX_CHARS = 500
VERSION_MAX_CHARS = 100
ENROL_MAX_CHARS = 400

Stage = Literal[
    "script", "kernel", "initramfs", "linux", "network", "channel", "flist", "ready", "failed"
]
# A stage of an earlier phase than the last one belongs to the next boot. Within a phase a node may
# try again; the stages of `ONCE` begin a boot if they are repeated.
PHASES: Mapping[str, int] = {
    "script": 0,
    "kernel": 1,
    "initramfs": 1,
    "linux": 2,
    "network": 3,
    "channel": 3,
    "flist": 3,
    "ready": 4,
}
ONCE = ("script", "linux")

_FARM = re.compile(r"[1-9][0-9]{0,9}")
_SECRET = re.compile(r"(?i)\b(secret|token|password|passwd|enrol|key)([=:]\s*)\S+")
_USER = re.compile(r"//[^/@\s]+@")
_TEXT = r"^[\x20-\x7e]*$"


def take_farm(value: object) -> object:
    """Take plain decimal digits, or a JSON number; "" is no farm."""
    if value in (None, ""):
        return None
    if isinstance(value, str) and _FARM.fullmatch(value):
        return int(value)
    if type(value) is int:
        return value
    raise ValueError("a farm number is a whole number in plain digits")


def take_serial(text: str) -> str:
    """Take a serial number; what firmware has in its place must not hide the machine."""
    try:
        return parse_identity(serial=text).serial
    except InputError:
        return ""


def take_mode(value: object) -> object:
    """Take a run mode, or an empty text."""
    if value and value not in RUN_MODES:
        raise ValueError("the run mode is one of " + ", ".join(RUN_MODES))
    return value


class IpxeReport(BaseModel):
    """What iPXE can tell, in the query of an address. Settings that it lacks are empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uuid: str = Field(default="", max_length=36, description="the machine's SMBIOS UUID")
    mac: str = Field(
        default="", max_length=17, description="the MAC address of the card it boots from"
    )
    serial: Annotated[str, AfterValidator(take_serial)] = Field(
        default="", max_length=2 * SERIAL_MAX_CHARS, description="its serial number"
    )
    farm: Annotated[Annotated[int, Field(ge=1, le=FARM_MAX)] | None, BeforeValidator(take_farm)] = (
        None
    )
    mode: Annotated[str, BeforeValidator(take_mode)] = ""
    code: str = Field(default="", pattern=r"^(ZB[0-9]{2})?$", description="why the boot failed")

    @model_validator(mode="after")
    def check_identity(self) -> Self:
        """Refuse names that are none; a machine must have a UUID or a MAC address."""
        try:
            identity = self.identity
        except InputError as error:
            raise ValueError(error.message) from error
        if not identity.uuid and not identity.mac:
            raise ValueError("a report needs a uuid or a mac of the machine")
        return self

    @property
    def identity(self) -> Identity:
        """Return the machine's canonical names."""
        return parse_identity(self.mac, self.uuid, self.serial)


class NodeReport(IpxeReport):
    """What a node tells, in JSON."""

    detail: str = Field(default="", max_length=DETAIL_MAX_CHARS, description="what went wrong")
    version: str = Field(
        default="", max_length=VERSION_MAX_CHARS, pattern=_TEXT, description="release"
    )
    enrol: str = Field(default="", max_length=ENROL_MAX_CHARS, description="the enrolment token")


def clean(text: str) -> str:
    """Return a text of a node as one line without control characters or what looks secret."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _USER.sub("//…@", _SECRET.sub(r"\1\2…", line))


def begins_boot(stage: str, last: str | None) -> bool:
    """Tell whether a report begins another boot than the newest one.

    `last` is the last stage of that (but "failed"), or None if only a failure is known of it.
    """
    if stage == "failed":
        return False
    if last is None or PHASES[stage] == PHASES[last]:
        return stage in ONCE
    return PHASES[stage] < PHASES[last]
