"""Options from a URL, a form, JSON or TOML: one table of fields for all of them.

A value is a text, or a list of texts for the fields that may have several; JSON and TOML may write
a number as a number. An empty text means that nothing was chosen.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from bootstrap_server.errors import InputError, NotThereError
from bootstrap_server.options.model import POSITIONS, Options, parse_farm, parse_run_mode
from bootstrap_server.options.network import Network, parse_vlan
from bootstrap_server.options.parameters import parse_extra
from common.runmodes import RUN_MODES


class Field(NamedTuple):
    """One field: what separates its values in a text, if it may have several."""

    between: str = ""
    is_number: bool = False


FIELDS: Mapping[str, Field] = {
    "runmode": Field(),
    "farm": Field(is_number=True),
    "extra": Field(between=" "),
    "kernel": Field(),
    "interface": Field(),
    "address": Field(),
    "gateway": Field(),
    "dns": Field(between=r"[,\s]"),
    "vlan": Field(is_number=True),
    "ipv6": Field(),
    "proxy": Field(),
    "mirror": Field(between=r"\s"),
    "console": Field(between=r"\s"),
}
_LIST_MAX = 64  # of the texts that one field is given in


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
            value = str(value)
        if field.between and isinstance(value, list) and all(isinstance(x, str) for x in value):
            found[name] = [text for text in value if text]
        elif isinstance(value, str):
            found[name] = [value] if value else []
        else:
            kind = "a text or a list of texts" if field.between else "a text"
            raise InputError(name, f"{name} is {'a number' if field.is_number else kind}")
    return make_options(found)


def find_field(name: str) -> Field:
    """Return a field of `FIELDS`. Raises `InputError` for any other name."""
    if name not in FIELDS:
        raise InputError(
            name, "there is no such option", hint="the options are " + ", ".join(FIELDS)
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
    )


def split_path(raw: bytes) -> list[str]:
    """Return the decoded parts of a path as it was sent. A slash that is escaped separates none."""
    try:
        return [unquote_to_bytes(part).decode() for part in raw.split(b"/")]
    except UnicodeDecodeError as error:
        raise InputError("address", "the address holds bytes that are not UTF-8") from error
