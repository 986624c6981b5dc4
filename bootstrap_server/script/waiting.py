"""The iPXE scripts of a machine that gets nothing to boot yet: it says why, and asks again."""

from urllib.parse import urlencode

from bootstrap_server.script.commands import command, echo, goto, label, number, render
from bootstrap_server.script.download import STALL_MS
from common.bootcodes import CODES

FIRST_PAUSE_S = 5
LONGEST_PAUSE_S = 60


def pause_s(turn: int) -> int:
    """Return how long a machine waits that has asked `turn` times before."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S << min(turn, 10))


def render_waiting(public_url: str, mac: str, others: dict[str, str], turn: int, code: str) -> str:
    """Return the script of the machine with this MAC address; `others` are its further names.

    The next script takes the place of this one, so a machine can wait for days.
    """
    what = "waiting to be claimed" if code == "ZB51" else "not provisioned"
    pause = number(pause_s(turn))
    url = f"{public_url}/provision/{mac}?{urlencode({**others, 'turn': turn + 1})}"
    options = ("--autofree", "--replace", "--timeout", number(STALL_MS))
    return render(
        [
            echo(),
            echo(f"Zero-OS: {what}: node {mac} ({code}: {CODES[code].wrong})"),
            label("again"),
            echo(f"Zero-OS: asking again in {pause} s"),
            command("sleep", pause).ignored(),
            command("chain", url, options=options).ignored(),
            goto("again"),
        ]
    )
