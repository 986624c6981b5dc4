"""Options from a URL, a form, JSON or TOML: one table of fields for all of them.

A value is a text, or a list of texts for the fields that may have several; JSON and TOML may write
a number as a number. An empty text means that nothing was chosen.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from bootstrap_server.errors import InputError, NotThereError
from bootstrap_server.options.model import (
    POSITIONS,
    Options,
    is_release,
    parse_farm,
    parse_run_mode,
)
from bootstrap_server.options.network import Network, parse_vlan
from bootstrap_server.options.parameters import parse_extra
from common.runmodes import RUN_MODES


class Field(NamedTuple):
    """One field, and what separates its values in a text, if it may have several."""

    what: str
    example: str
    between: str = ""
    is_number: bool = False


FIELDS: Mapping[str, Field] = {
    "runmode": Field("run mode: dev, qa, test or prod", "prod"),
    "farm": Field("number of the farm; without one the node belongs to none", "4711", "", True),
    "extra": Field("kernel parameters, with spaces between them", "loglevel=4 zos-debug", " "),
    "kernel": Field("an older release of the run mode, by its version", "0.1.0"),
    "interface": Field("MAC address of the only network card to use", "52:54:00:12:34:56"),
    "address": Field("static address with its prefix length, instead of DHCP", "192.168.1.10/24"),
    "gateway": Field("router in the network of `address`", "192.168.1.1"),
    "dns": Field("name servers, at most 3", "192.168.1.1,9.9.9.9", r"[,\s]"),
    "vlan": Field("VLAN to boot in, 1 to 4094", "10", "", True),
    "ipv6": Field("auto: take an IPv6 address from the router, too", "auto"),
    "proxy": Field("HTTP proxy of the node's downloads; iPXE has none", "http://192.168.1.2:3128"),
    "mirror": Field(
        "servers to fetch from first, of those that the server names",
        "http://mirror.example",
        r"\s",
    ),
    "console": Field(
        "terminals for messages, instead of screen and first serial port", "ttyS1,115200n8", r"\s"
    ),
    "farm_key": Field(
        "the farm's public key: callers of the node's API need certificates by it",
        "yM9wHzCtEdPuh33O0Nd0qy2pFZiUKWiHuEOaY8mqBlU",
    ),
}
_LIST_MAX = 64  # of the texts that one field is given in
SHOWN_MAX = 80  # characters of a name that is wrong
NUMBER_MAX = 2**64  # too much for every field; Python can't write numbers of any length


def parse_address(parts: Sequence[str], query: Iterable[tuple[str, str]] = ()) -> Options:
    """Return what an address asks for: the parts of its path after the kind, and its query.

    One empty part may be at the end (a slash), and in the place of `extra`. Raises `NotThereError`
    for a run mode that does not exist or a path that is too long, `InputError` for the rest.
    """
    given = list(parts)
    if len(given) > 1 and not given[-1]:
        given.pop()
    if not given or not given[-1] or len(given) > len(POSITIONS):
        raise NotThereError(
            "nothing is at this address",
            hint="a slash in a kernel parameter is written as three underscores",
        )
    parse_run_mode(given[0])
    if len(given) > 1:
        parse_farm(given[1])
    if len(given) == len(POSITIONS) and not is_release(given[-1]):
        raise NotThereError("there is no such kernel")
    pairs = [(name, text) for name, text in zip(POSITIONS, given, strict=False) if text]
    return parse_pairs([*pairs, *query])


def parse_pairs(pairs: Iterable[tuple[str, str]]) -> Options:
    """Return what a form or a query asks for."""
    found: dict[str, list[str]] = {}
    for name, text in pairs:
        field = find_field(name)
        if not text:
            continue
        if name in found and not field.between:
            raise InputError(name, f"{name} is there twice")
        found.setdefault(name, []).append(text)
    return make_options(found)


def parse_mapping(mapping: Mapping[str, object]) -> Options:
    """Return what a JSON object or a TOML table asks for."""
    found: dict[str, list[str]] = {}
    for name, value in mapping.items():
        field = find_field(name)
        if field.is_number and type(value) is int:
            value = str(max(-1, min(value, NUMBER_MAX)))
        if field.between and isinstance(value, list) and all(isinstance(x, str) for x in value):
            found[name] = [text for text in value if text]
        elif isinstance(value, str):
            found[name] = [value] if value else []
        else:
            kind = "a text or a list of texts" if field.between else "a text"
            raise InputError(name, f"{name} is {'a number' if field.is_number else kind}")
    return make_options(found)


def parse_json(data: bytes | str) -> Options:
    """Return what a JSON object asks for."""
    try:
        value = json.loads(data, object_pairs_hook=only_once)
    except (ValueError, RecursionError) as error:
        raise InputError("json", "this is not JSON") from error
    if not isinstance(value, dict):
        raise InputError("json", "the options are a JSON object")
    return parse_mapping(value)


def only_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object. Raises `InputError` for a name that is in it twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        name = next(name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1)
        find_field(name)
        raise InputError(name, f"{name} is there twice")
    return found


def parse_toml(text: str) -> Options:
    """Return what a TOML table asks for."""
    try:
        return parse_mapping(tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        raise InputError("toml", "this is not TOML") from error


def find_field(name: str) -> Field:
    """Return a field of `FIELDS`. Raises `InputError` for any other name."""
    if name not in FIELDS:
        shown = name if name.isprintable() and len(name) <= SHOWN_MAX else ascii(name)[:SHOWN_MAX]
        raise InputError(
            shown, "there is no such option", hint="the options are " + ", ".join(FIELDS)
        )
    return FIELDS[name]


def make_options(found: Mapping[str, Sequence[str]]) -> Options:
    """Return the options of these texts."""

    def one(name: str) -> str:
        return "".join(found.get(name, ()))

    def several(name: str) -> tuple[str, ...]:
        texts = found.get(name, ())
        if len(texts) > _LIST_MAX:
            raise InputError(name, f"more than {_LIST_MAX} values")
        words = [word for text in texts for word in re.split(FIELDS[name].between, text)]
        return tuple(word for word in words if word)

    if one("runmode") not in RUN_MODES:
        raise InputError("runmode", "the run mode is one of " + ", ".join(RUN_MODES))
    return Options(
        run_mode=one("runmode"),
        farm=parse_farm(one("farm")) if one("farm") else None,
        parameters=parse_extra(" ".join(found.get("extra", ()))),
        release=one("kernel"),
        network=Network(
            interface=one("interface"),
            address=one("address"),
            gateway=one("gateway"),
            dns=several("dns"),
            vlan=parse_vlan(one("vlan")) if one("vlan") else None,
            ipv6=one("ipv6") or "off",
            proxy=one("proxy"),
        ),
        mirrors=several("mirror"),
        console=several("console"),
        farm_key=one("farm_key"),
    )


def split_path(raw: bytes) -> list[str]:
    """Return the decoded parts of a path as it was sent. A slash that is escaped separates none."""
    try:
        return [unquote_to_bytes(part).decode() for part in raw.split(b"/")]
    except UnicodeDecodeError as error:
        raise InputError("address", "the address holds bytes that are not UTF-8") from error
