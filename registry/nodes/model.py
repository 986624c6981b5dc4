"""What a node signs: reports, each with its body by kind.

Keys that this version does not know are ignored: they are in the log, and a later version may show
them.
"""

from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator

from common.farms import FARM_MAX
from registry.farms.model import SEQUENCE_MAX, Said, explain
from registry.names import BOOT

REGISTER, HEARTBEAT, SHUTDOWN = "register", "heartbeat", "shutdown"
BYTES_MAX = 2**63 - 1
UPTIME_MAX_S = 100 * 366 * 86400.0
TIME_MAX_S = 2.0**40
ITEMS_MAX = 200


class Part(Said):
    """A part of a report."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class Resources(Part):
    """Amounts: logical processors, bytes of memory, SSD and HDD, public IPv4 addresses."""

    cru: int = Field(default=0, ge=0, le=2**31 - 1)
    mru: int = Field(default=0, ge=0, le=BYTES_MAX)
    sru: int = Field(default=0, ge=0, le=BYTES_MAX)
    hru: int = Field(default=0, ge=0, le=BYTES_MAX)
    ipv4u: int = Field(default=0, ge=0, le=2**31 - 1)


class Interface(Part):
    """A network interface."""

    name: str = Field(max_length=60)
    mac: str = Field(max_length=60)
    addresses: list[str] = Field(default=[], max_length=ITEMS_MAX)


class Gpu(Part):
    """A graphics card."""

    id: str = Field(max_length=100)
    vendor: str = Field(default="", max_length=200)
    device: str = Field(default="", max_length=200)


class Release(Part):
    """What the node runs."""

    version: str = Field(default="", max_length=200)
    boot_version: str = Field(default="", max_length=200)
    kernel: str = Field(default="", max_length=200)
    run_mode: str = Field(default="", max_length=16)


class Api(Part):
    """Where the node's own API is."""

    port: int = Field(ge=1, le=65535)
    addresses: list[str] = Field(default=[], max_length=ITEMS_MAX)


class Problem(Part):
    """What is wrong on the node."""

    code: str = Field(max_length=60)
    text: str = Field(default="", max_length=500)
    since: float | None = None


class Register(Part):
    """The body of a registration."""

    capacity: Resources
    used: Resources = Resources()
    interfaces: list[Interface] = Field(default=[], max_length=ITEMS_MAX)
    dmi: Any = None
    hypervisor: str = Field(default="", max_length=60)
    virtualized: bool = False
    secure_boot: bool = False
    serial: str = Field(default="", max_length=100)
    gpus: list[Gpu] = Field(default=[], max_length=ITEMS_MAX)
    release: Release = Release()
    identity: Literal["tpm", "disk", "ephemeral"]
    enrol: str = Field(default="", max_length=400)
    quote: dict[str, Any] | None = None
    api: Api | None = None
    problems: list[Problem] = Field(default=[], max_length=ITEMS_MAX)


class Heartbeat(Part):
    """The body of a heartbeat."""

    used: Resources = Resources()
    release: Release | None = None
    problems: list[Problem] = Field(default=[], max_length=ITEMS_MAX)


class Shutdown(Part):
    """The body of the last report before a planned end."""


Body = Register | Heartbeat | Shutdown
BODIES: dict[str, type[Register] | type[Heartbeat] | type[Shutdown]] = {
    REGISTER: Register,
    HEARTBEAT: Heartbeat,
    SHUTDOWN: Shutdown,
}


class Report(Part):
    """The payload of a message of the kind `report`."""

    node: str = Field(max_length=64)
    farm: int = Field(ge=1, le=FARM_MAX)
    boot: str = Field(description="the kernel's boot id, a UUID")
    sequence: int = Field(ge=1, le=SEQUENCE_MAX, description="1, 2, ... within a boot")
    nonce: str = Field(max_length=64)
    sent: float = Field(ge=0, le=TIME_MAX_S)
    uptime_s: float = Field(ge=0, le=UPTIME_MAX_S)
    kind: Literal["register", "heartbeat", "shutdown"]
    body: dict[str, Any] = Field(default_factory=dict)

    @field_validator("boot")
    @classmethod
    def check_boot(cls, text: str) -> str:
        """Refuse what the kernel would not write."""
        if not BOOT.fullmatch(text):
            raise ValueError("it is no boot id: a UUID in lower case")
        return text


def parse_report(payload: Any) -> tuple[Report, Body]:
    """Return what a payload says, and its body. Raises `RegistryError`."""
    try:
        report = Report.model_validate(payload)
        return report, BODIES[report.kind].model_validate(report.body)
    except ValidationError as error:
        raise explain(error) from None
