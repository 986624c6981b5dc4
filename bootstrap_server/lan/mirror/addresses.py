"""The addresses that a mirror serves: a table of patterns, all others are not there. Pure.

An address whose content never changes is kept for good. Any other is asked for again each time,
with the ETag of what is kept.
"""

import re
from typing import Literal, NamedTuple

Upstream = Literal["server", "hub"]
HUB = "/hub"

_DIGEST = "[0-9a-f]{64}"
_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_REPOSITORY = f"(?:flists/)?{_NAME}"


class Address(NamedTuple):
    """One address. `target` is its path below the upstream's URL; `sha256` and `block` are the
    digests that the content must have, "" where the address does not say."""

    path: str
    upstream: Upstream
    target: str
    is_kept: bool
    sha256: str = ""
    block: str = ""


class Rule(NamedTuple):
    """Addresses of one form, of one run mode if the pattern has `%s`."""

    pattern: str
    upstream: Upstream
    is_kept: bool


RULES = (
    Rule(r"/kernel/%s/release\.ipxe", "server", False),
    Rule(rf"/kernel/%s/[0-9a-f]{{32,64}}/{_NAME}", "server", True),
    Rule(rf"/kernel/%s/{_NAME}", "server", False),
    Rule(r"/channel/metadata/timestamp\.json", "server", False),
    Rule(r"/channel/metadata/[1-9][0-9]{0,8}\.[a-z]{1,32}\.json", "server", True),
    Rule(rf"/channel/targets/%s/(?P<sha256>{_DIGEST})\.{_NAME}", "server", True),
    Rule(rf"{HUB}/blocks/[0-9a-f]{{2}}/(?P<block>{_DIGEST})", "hub", True),
    Rule(rf"{HUB}/blocks/(?P<block>{_DIGEST})", "hub", True),
    Rule(rf"{HUB}/{_REPOSITORY}/{_NAME}\.fl(?:\.sig)?", "hub", False),
)


class Addresses:
    """The addresses of one run mode."""

    def __init__(self, run_mode: str) -> None:
        mode = re.escape(run_mode)
        self._rules = [(re.compile(rule.pattern.replace("%s", mode)), rule) for rule in RULES]

    def find(self, path: str) -> Address | None:
        """Return what a path asks for; None if this mirror does not have such addresses."""
        for pattern, rule in self._rules:
            if match := pattern.fullmatch(path):
                target = path.removeprefix(HUB) if rule.upstream == "hub" else path
                return Address(path, rule.upstream, target, rule.is_kept, **match.groupdict(""))
        return None
