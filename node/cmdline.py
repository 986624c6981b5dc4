"""The kernel command line, as upstream's nodes know it (`runmode=`, `farmer_id=`) plus `hub=`.

When a key stands there twice the first one counts, everywhere: upstream's parts disagreed on
that, so that one extra word could split a node between two networks.
"""

from urllib.parse import urlsplit

from common.farms import FARM_MAX
from node.model import NETWORKS, BootParameters, NodeError

DEFAULT_RUNMODE = "prod"


def parse_words(text: str) -> dict[str, str]:
    """Return the first value of every key; a word without "=" has the value ""."""
    words: dict[str, str] = {}
    for word in text.split():
        key, _, value = word.partition("=")
        words.setdefault(key, value)
    return words


def parse_parameters(text: str) -> BootParameters:
    """Return what `text` (/proc/cmdline) says, or raise `NodeError` naming the bad word."""
    words = parse_words(text)
    runmode = words.get("runmode", DEFAULT_RUNMODE)
    if runmode not in NETWORKS:
        raise NodeError(f"cannot use runmode={runmode}: it is none of {', '.join(NETWORKS)}")
    farm = words.get("farmer_id", "0")
    if not (farm.isascii() and farm.isdigit() and int(farm) <= FARM_MAX):
        raise NodeError(f"cannot use farmer_id={farm}: it is no number up to {FARM_MAX}")
    return BootParameters(runmode=runmode, farm=int(farm), hub=parse_hub(words.get("hub", "")))


def parse_hub(url: str) -> str:
    """Return the hub's address without a trailing slash."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises when the port is no number
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NodeError(
            f"cannot use hub={url}: it is no http(s) address",
            hint="the boot script sets it; see --hub of `zos bootstrap serve`",
        )
    return url.rstrip("/")
