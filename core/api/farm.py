"""The farm's public key: of the command line, else of the registry, if that is reached by https."""

import base64
import binascii
import json
from typing import Any
from urllib.parse import urlsplit

from core.api.parameters import Parameters
from core.certificates.farmkey import KEY_BYTES
from core.errors import CoreError
from flist.errors import StoreError
from flist.http.origin import PORTS, Origin, Request
from flist.http.patience import Patience

ANSWER_S = 30.0
ANSWER_MAX_BYTES = 64 << 10
EXCHANGE_MAX_BYTES = 1 << 20
FIX = "make the image with the option farm_key; `zos node key FILE` prints the key"


class NoKeyError(CoreError):
    """The farm's key is not known; `is_final` if asking again would not help."""

    def __init__(self, message: str, *, is_final: bool) -> None:
        super().__init__(message, hint=FIX)
        self.is_final = is_final


def find_farm_key(parameters: Parameters) -> bytes:
    """Return the farm's public key. Raises `NoKeyError`."""
    if parameters.problem:
        raise NoKeyError(parameters.problem, is_final=True)
    if not parameters.farm:
        raise NoKeyError("the node belongs to no farm", is_final=True)
    if parameters.key:
        return parameters.key
    if not parameters.registry:
        raise NoKeyError("the node was not told its farm's key (farm.key=)", is_final=True)
    if urlsplit(parameters.registry).scheme != "https":
        raise NoKeyError(
            "the node was not told its farm's key (farm.key=), and the registry is not on https",
            is_final=True,
        )
    return ask_registry(parameters)


def ask_registry(parameters: Parameters) -> bytes:
    """Return the key of the farm's owner, as the registry has it. Raises `NoKeyError`."""
    try:
        parts = urlsplit(parameters.registry)
        port = parts.port or PORTS["https"]
        proxy = parameters.proxy
        origin = Origin(parts.hostname or "", port, is_secure=True, proxy=proxy)
        request = Request("GET", f"{parts.path}/api/v1/farms/{parameters.farm}", None, {})
        patience = Patience(ANSWER_S, EXCHANGE_MAX_BYTES)
        try:
            with origin.open(request, patience) as response:
                data, status = response.read(ANSWER_MAX_BYTES), response.status
        finally:
            origin.close()
    except (StoreError, ValueError) as error:
        raise NoKeyError(
            f"cannot ask the registry for the farm's key: {error}", is_final=False
        ) from error
    if status != 200:
        raise NoKeyError(f"the registry does not tell the farm's key ({status})", is_final=False)
    return parse_owner(data, parameters.farm)


def parse_owner(data: bytes, farm: int) -> bytes:
    """Return the owner's key of a registry's answer about a farm. Raises `NoKeyError`."""
    try:
        said: Any = json.loads(data)
        key = base64.b64decode(said["owner"], validate=True)
        is_good = said["farm"] == farm and len(key) == KEY_BYTES
    except (ValueError, RecursionError, TypeError, KeyError, binascii.Error):
        is_good = False
    if not is_good:
        raise NoKeyError("the registry's answer about the farm is none", is_final=False)
    return key
