"""What the routes answer with, as the OpenAPI description has it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from registry.farms.model import Public


class Farm(BaseModel):
    """A farm."""

    farm: int
    sequence: int
    name: str
    owner: str
    node_ca: str
    public: Public
    created: float
    changed: float
    position: int


class FarmWritten(BaseModel):
    """A message of a farm's owner is in the log, at `position`."""

    farm: int
    sequence: int
    position: int


class Expected(BaseModel):
    """What a node's next report must carry, if it is of the boot that reported last."""

    nonce: str
    boot: str | None
    sequence: int


class Taken(BaseModel):
    """A report is in the log, at `position`. The next one has this nonce."""

    nonce: str
    interval_s: float
    time: float
    position: int
    doubt: str


class Amounts(BaseModel):
    """Amounts of resources."""

    cru: int
    mru: int
    sru: int
    hru: int
    ipv4u: int


class Node(BaseModel):
    """A node: what it said last (`said`), and what the registry thinks of it."""

    number: int
    id: str
    farm: int
    boot: str
    sequence: int
    reports: int
    uptime_s: float
    kind: str
    doubt: str
    status: str
    reported: float
    registered: float
    created: float
    position: int
    is_enrolled: bool
    enrolment_why: str
    is_attested: bool
    attestation_why: str
    identity: str
    capacity: Amounts
    used: Amounts
    run_mode: str
    version: str
    said: dict[str, Any]
    problems: list[dict[str, Any]]


class Share(BaseModel):
    """The milliseconds of a month for which a node was up in one farm."""

    farm: int
    up_ms: int


class Month(BaseModel):
    """A month of a node: `is_available` is more than 95 %."""

    model_config = ConfigDict(populate_by_name=True)

    month: str
    begin_s: int = Field(alias="from")
    end_s: int = Field(alias="to")
    length_ms: int
    up_ms: int
    percent: float
    is_available: bool
    farms: list[Share]
    reports: int
    doubted: int
    boots: int
    last_entry: int | None


class HeadShown(BaseModel):
    """The head of the log; `note` is signed, `key` is who signs it."""

    origin: str
    size: int
    root: str
    note: str
    key: str


class EntryShown(BaseModel):
    """An entry; `leaf` is the bytes that are hashed, in base64, or null if kept no more."""

    position: int
    at: float
    kind: str
    leaf: str | None


class Entries(BaseModel):
    """Some entries of the log."""

    size: int
    entries: list[EntryShown]


class Inclusion(BaseModel):
    """The path from a leaf to the root, in base64."""

    position: int
    size: int
    root: str
    leaf_hash: str
    path: list[str]


class Consistency(BaseModel):
    """The proof that the log of `first` entries begins that of `size`."""

    first: int
    size: int
    root: str
    path: list[str]
