"""What a farm's owner signs."""

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from common.farms import FARM_MAX
from registry.errors import RegistryError
from registry.names import check_name, parse_key

NODE_CA_CHARS = 8192
SEQUENCE_MAX = 2**53 - 1
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Said(BaseModel):
    """What somebody has signed. A text has no control characters but line ends and tabs: a terminal
    would obey them, and no database has them all."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def check_text(cls, value: object) -> object:
        """Refuse a text with control characters."""
        if isinstance(value, str) and CONTROL.search(value):
            raise ValueError("it has a control character")
        return value


class Public(Said):
    """What everybody may know of a farm; all of it is optional."""

    description: str = Field(default="", max_length=2000)
    url: str = Field(default="", max_length=300)
    contact: str = Field(default="", max_length=300)
    country: str = Field(default="", max_length=60)
    city: str = Field(default="", max_length=100)
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)


class FarmMessage(Said):
    """The payload of a message of the kind `farm`: the whole of what the farm is from now on."""

    farm: int | None = Field(default=None, ge=1, le=FARM_MAX, description="null: the next number")
    sequence: int = Field(ge=1, le=SEQUENCE_MAX)
    name: str = Field(max_length=50)
    owner: str = Field(description="public key, in base64, that signs the next change")
    node_ca: str = Field(default="", max_length=NODE_CA_CHARS)
    public: Public = Field(default_factory=Public)

    def row(self) -> dict[str, Any]:
        """Return what the table has of it."""
        public = self.public.model_dump(exclude_defaults=True)
        return {
            "name": self.name,
            "name_key": self.name.lower(),
            "owner": self.owner,
            "sequence": self.sequence,
            "node_ca": self.node_ca,
            "public": json.dumps(public, sort_keys=True),
            "country": self.public.country,
            "city": self.public.city,
            "latitude": self.public.latitude,
            "longitude": self.public.longitude,
        }


def parse_farm(payload: Any) -> FarmMessage:
    """Return what a payload says. Raises `RegistryError`."""
    try:
        message = FarmMessage.model_validate(payload)
    except ValidationError as error:
        raise explain(error) from None
    check_name(message.name)
    parse_key(message.owner, "the farm's owner")
    return message


def explain(error: ValidationError) -> RegistryError:
    """Return the error for the first problem that pydantic found in a payload."""
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, found["loc"]))
    return RegistryError(f"cannot read the message: {place}: {found['msg']}")
