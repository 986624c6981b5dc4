"""The iPXE scripts of a machine that gets nothing to boot yet: it says why, and asks again."""

from urllib.parse import urlencode

from bootstrap_server.script.download import STALL_MS
from common.bootcodes import CODES

FIRST_PAUSE_S = 5
LONGEST_PAUSE_S = 60

_SCRIPT = """\
#!ipxe
echo
echo Zero-OS: {what}: node {name} ({code}: {why})
:again
echo Zero-OS: asking again in {pause_s} s
sleep {pause_s} ||
chain --autofree --replace --timeout {stall_ms} {address} ||
goto again
"""


def pause_s(turn: int) -> int:
    """Return how long a machine waits that has asked `turn` times before."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S << min(turn, 10))


def render_waiting(public_url: str, mac: str, others: dict[str, str], turn: int, code: str) -> str:
    """Return the script of the machine with this MAC address; `others` are its further names."""
    query = urlencode({**others, "turn": turn + 1})
    return _SCRIPT.format(
        what="waiting to be claimed" if code == "ZB26" else "not provisioned",
        name=mac,
        code=code,
        why=CODES[code].wrong,
        pause_s=pause_s(turn),
        stall_ms=STALL_MS,
        address=f"{public_url}/provision/{mac}?{query}",
    )
