"""What the LAN's mirror has: kernels and channel of one run mode, and what is on the hub."""

import re

from serving.mirror.addresses import DIGEST, NAME, Rule, hub_rules

HUB = "/hub"
_VERSION = "[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}"


def rules_of(run_mode: str) -> tuple[Rule, ...]:
    """Return the rules of a run mode's addresses."""
    mode = re.escape(run_mode)
    kernel = f"/kernel/{mode}"
    return (
        Rule(rf"{kernel}/(?:{_VERSION}/)?release\.ipxe", "server", False),
        Rule(rf"{kernel}/[0-9a-f]{{32,64}}/{NAME}", "server", True),
        Rule(rf"{kernel}/{NAME}", "server", False),
        Rule(r"/channel/metadata/timestamp\.json", "server", False),
        Rule(r"/channel/metadata/[1-9][0-9]{0,8}\.[a-z]{1,32}\.json", "server", True),
        Rule(rf"/channel/targets/{mode}/(?P<sha256>{DIGEST})\.{NAME}", "server", True),
        *hub_rules(HUB),
    )
