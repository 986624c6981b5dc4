"""What can be asked of farms and nodes: the filters and pages of both the pages and the API."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from common.farms import FARM_MAX

SIZE, SIZE_MAX = 50, 500
PAGE_MAX = 100_000
LIST_MAX = 100
NUMBER_MAX = 2**53
Status = Literal["up", "down", "standby"]


def split_commas(value: Any) -> Any:
    """Return the parts of a parameter that is repeated, or has commas, or both."""
    return [word for text in value for word in str(text).split(",") if word]


Amount = Annotated[int | None, Field(default=None, ge=0, le=NUMBER_MAX)]
Text = Annotated[str | None, Field(default=None, max_length=100)]
Farms = Annotated[list[Annotated[int, Field(ge=1, le=FARM_MAX)]], BeforeValidator(split_commas)]
Numbers = Annotated[list[Annotated[int, Field(ge=1, le=NUMBER_MAX)]], BeforeValidator(split_commas)]
Statuses = Annotated[list[Status], BeforeValidator(split_commas)]


class Paging(BaseModel):
    """Which part of what is found. A parameter that is not known is refused."""

    model_config = ConfigDict(extra="forbid")

    page: int = Field(default=1, ge=1, le=PAGE_MAX)
    size: int = Field(default=SIZE, ge=1, le=SIZE_MAX)
    ret_count: bool = Field(default=False, description="put how many there are in header `count`")
    sort_order: Literal["asc", "desc", "ASC", "DESC"] = "asc"

    @property
    def offset(self) -> int:
        """Return how many come before the page."""
        return (self.page - 1) * self.size


class NodeQuery(Paging):
    """Which nodes. `free_` and `total_` are the least amounts: bytes, and logical processors."""

    sort_by: Literal[
        "node_id", "farm_id", "created", "updated_at",
        "total_cru", "total_mru", "total_sru", "total_hru",
    ] = "node_id"  # fmt: skip
    status: Statuses = Field(default=[], max_length=LIST_MAX)
    node_id: int | None = Field(default=None, ge=1, le=NUMBER_MAX)
    node_ids: Numbers = Field(default=[], max_length=LIST_MAX)
    farm_ids: Farms = Field(default=[], max_length=LIST_MAX)
    farm_name: Text = None
    country: Text = None
    city: Text = None
    free_cru: Amount = None
    free_mru: Amount = None
    free_sru: Amount = None
    free_hru: Amount = None
    total_cru: Amount = None
    total_mru: Amount = None
    total_sru: Amount = None
    total_hru: Amount = None
    has_gpu: bool | None = None


class FarmQuery(Paging):
    """Which farms."""

    sort_by: Literal["farm_id", "name"] = "farm_id"
    farm_id: int | None = Field(default=None, ge=1, le=FARM_MAX)
    name: Text = None
    country: Text = None


class StatsQuery(BaseModel):
    """Of which nodes the sums are."""

    model_config = ConfigDict(extra="forbid")

    status: Statuses = Field(default=[], max_length=LIST_MAX)
