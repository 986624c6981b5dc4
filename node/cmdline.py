"""The kernel command line, with upstream's keys (`runmode=`, `farmer_id=`) and `hub=`.

If a key is repeated, the first value counts. Upstream's components disagreed on that, so one extra
word could split a node between two networks.
"""

from urllib.parse import urlsplit

from common.farms import FARM_MAX
from common.runmodes import RUN_MODES
from node.model import BootParameters, NodeError

DEFAULT_RUNMODE = "prod"


def parse_words(text: str) -> dict[str, str]:
    """Return the first value of every key; a word without "=" has the value ""."""
    words: dict[str, str] = {}
    for word in text.split():
        key, _, value = word.partition("=")
        words.setdefault(key, value)
    return words


def parse_parameters(text: str) -> BootParameters:
    """Parse `text` (/proc/cmdline); raise `NodeError` naming an invalid word."""
    words = parse_words(text)
    runmode = words.get("runmode", DEFAULT_RUNMODE)
    if runmode not in RUN_MODES:
        raise NodeError(f"cannot use runmode={runmode}: the run modes are {', '.join(RUN_MODES)}")
    farm = parse_farm(words.get("farmer_id", "0"))
    return BootParameters(runmode=runmode, farm=farm, hub=parse_hub(words.get("hub", "")))


def parse_farm(text: str) -> int:
    """Return a farm's number."""
    digits = text.lstrip("0")
    is_short = len(digits) <= len(str(FARM_MAX))  # int() refuses thousands of digits
    if not (text.isascii() and text.isdigit() and is_short and int(digits or "0") <= FARM_MAX):
        raise NodeError(f"cannot use farmer_id={text}: a farm number is at most {FARM_MAX}")
    return int(digits or "0")


def parse_hub(url: str) -> str:
    """Return the hub's URL without a trailing slash."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if the port is not a number
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NodeError(
            f"cannot use hub={url}: not an http(s) address",
            hint="the boot script sets it; see --hub of `zos bootstrap serve`",
        )
    return url.rstrip("/")
