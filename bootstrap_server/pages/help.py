"""What to do for each code that a node shows."""

import re

from starlette.responses import HTMLResponse

from bootstrap_server.errors import NotThereError
from bootstrap_server.pages import render_page
from common.bootcodes import CODES, describe

STAGES = {
    "1": "The node's own network",
    "2": "The bootstrap server",
    "3": "The kernel",
    "4": "Zero-OS itself",
    "5": "Provisioning",
}
"""What the first digit of a code says."""

_TYPED = re.compile(r"(?:ZB)?\s*([0-9]{2})", re.IGNORECASE)


def show_codes(root: str, typed: str = "") -> HTMLResponse:
    """Return the page of all codes, or of the one that was typed."""
    found = _TYPED.fullmatch(typed.strip())
    code = f"ZB{found[1]}" if found else ""
    if code in CODES:
        return show_code(root, code)
    groups = {
        title: {code: entry for code, entry in CODES.items() if code[2] == digit}
        for digit, title in STAGES.items()
    }
    return render_page(
        "help.html", 422 if typed else 200, here="help", root=root, groups=groups, typed=typed[:20]
    )


def show_code(root: str, code: str) -> HTMLResponse:
    """Return the page of one code. Raises `NotThereError` for any other."""
    name = code.upper()
    if name not in CODES:
        raise NotThereError("there is no such code", hint="a code is ZB and two digits, like ZB12")
    return render_page(
        "code.html",
        here="help",
        root=root,
        code=name,
        line=f"Zero-OS: {describe(name)}",
        entry=CODES[name],
        stage=STAGES[name[2]],
    )
