"""The addresses that a mirror serves: a table of patterns, all others are not there. Pure.

An address whose content never changes is kept for good. Any other is asked for again each time,
with the ETag of what is kept.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

DIGEST = "[0-9a-f]{64}"
NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"


class Address(NamedTuple):
    """One address. `target` is its path below the upstream's URL; `sha256` and `block` are the
    digests that the content must have, "" where the address does not say."""

    path: str
    upstream: str
    target: str
    is_kept: bool
    sha256: str = ""
    block: str = ""


class Rule(NamedTuple):
    """Addresses of one form, and which upstream has them, without `prefix`.

    The pattern's groups `sha256` and `block` (BLAKE2b-256) are digests that the content must have.
    """

    pattern: str
    upstream: str
    is_kept: bool
    prefix: str = ""


class Addresses:
    """The addresses of one mirror."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [(re.compile(rule.pattern), rule) for rule in rules]

    def find(self, path: str) -> Address | None:
        """Return what a path asks for; None if this mirror does not have such addresses."""
        for pattern, rule in self._rules:
            if match := pattern.fullmatch(path):
                target = path.removeprefix(rule.prefix)
                return Address(path, rule.upstream, target, rule.is_kept, **match.groupdict(""))
        return None


def hub_rules(prefix: str = "") -> tuple[Rule, ...]:
    """Return the rules of a hub's addresses that are below `prefix`: flists and their blocks."""
    return (
        Rule(rf"{prefix}/blocks/[0-9a-f]{{2}}/(?P<block>{DIGEST})", "hub", True, prefix),
        Rule(rf"{prefix}/blocks/(?P<block>{DIGEST})", "hub", True, prefix),
        Rule(rf"{prefix}/(?:flists/)?{NAME}/{NAME}\.fl(?:\.sig)?", "hub", False, prefix),
    )
