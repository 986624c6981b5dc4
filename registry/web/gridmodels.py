"""What the routes for clients of the grid proxy answer with. The names are that proxy's."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Camel(BaseModel):
    """Something whose names are in camel case, but where an alias says otherwise."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class GridFarm(Camel):
    """A farm."""

    name: str
    farm_id: int
    twin_id: int
    pricing_policy_id: int
    certification_type: str
    stellar_address: str
    dedicated: bool
    public_ips: list[dict[str, Any]]


class GridAmounts(BaseModel):
    """Amounts: logical processors, and bytes."""

    cru: int
    mru: int
    sru: int
    hru: int


class GridCapacity(BaseModel):
    """What a node has, and what of it is in use."""

    total_resources: GridAmounts
    used_resources: GridAmounts


class GridPlace(BaseModel):
    """Where a node's farm is, as its owner says."""

    country: str
    city: str
    longitude: float | None
    latitude: float | None


class GridStatus(BaseModel):
    """Whether a node is `up`, `down`, or `standby`: shut down by plan."""

    status: str


class GridCommon(Camel):
    """What a node has in a list and alone."""

    model_config = ConfigDict(extra="allow")

    id: str
    node_id: int
    farm_id: int
    farm_name: str
    country: str
    city: str
    uptime: int
    created: int
    updated_at: int
    location: GridPlace
    status: str
    serial_number: str
    healthy: bool


class GridListed(GridCommon):
    """A node of a list."""

    total_resources: GridAmounts = Field(alias="total_resources")
    used_resources: GridAmounts = Field(alias="used_resources")


class GridNode(GridCommon):
    """A node."""

    capacity: GridCapacity
    dmi: Any
    gpus: list[dict[str, Any]]


class GridStats(Camel):
    """The sums of all nodes."""

    model_config = ConfigDict(extra="allow")

    nodes: int
    farms: int
    countries: int
    total_cru: int
    total_mru: int
    total_sru: int
    total_hru: int
    nodes_distribution: dict[str, int]
    gpus: int
