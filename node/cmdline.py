"""The kernel command line: upstream's keys (`runmode=`, `farmer_id=`), `hub=` (one address, or
several with commas between them: the same flists are on each), `bootstrap=`, and
words that a node can do without (`enrol=`, `net.proxy=`; `node/network/plan.py` has more of those).

If a key is repeated, the value counts that upstream takes: the first, or for some the last
(`common/bootwords.py`).

A word that decides what the node runs or whom it trusts is refused if it is invalid. Any other is
told and left out: a node that nobody can reach helps nobody. (Without `bootstrap=` a node whose
image demands a channel mounts nothing, which `node/admission.py` says.)
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from common.bootwords import hide_user, read_words
from common.farms import FARM_MAX, parse_farm
from common.runmodes import RUN_MODES
from node.model import BootParameters, NodeError

DEFAULT_RUNMODE = "prod"
HUB_HINT = "the boot script sets it; see --hub of `zos bootstrap serve`"
HUBS_MAX = 8
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,1024}")

Tell = Callable[[str], None]


def parse_words(text: str) -> dict[str, str]:
    """Return the value of every key that counts; a word without "=" has the value ""."""
    return read_words(text).chosen()


def parse_parameters(text: str, tell: Tell) -> BootParameters:
    """Parse `text` (/proc/cmdline); raise `NodeError` naming an invalid word.

    `tell` gets a line for each invalid word that the node does without.
    """
    words = parse_words(text)
    runmode = words.get("runmode", DEFAULT_RUNMODE)
    if runmode not in RUN_MODES:
        raise NodeError(f"cannot use runmode={runmode}: the run modes are {', '.join(RUN_MODES)}")
    return BootParameters(
        runmode=runmode,
        farm=demand_farm(words.get("farmer_id", "0")),
        hubs=parse_hubs(words.get("hub", "")),
        bootstrap=parse_optional("bootstrap", words.get("bootstrap", ""), tell),
        enrol=parse_token(words.get("enrol", ""), tell),
        proxy=parse_proxy(words.get("net.proxy", ""), tell),
        kexec=parse_kexec(words.get("update.kexec", ""), tell),
    )


def demand_farm(text: str) -> int:
    """Return a farm's number."""
    farm = parse_farm(text)
    if farm is None:
        raise NodeError(f"cannot use farmer_id={text}: a farm number is at most {FARM_MAX}")
    return farm


def parse_hubs(text: str) -> tuple[str, ...]:
    """Return the URLs of hubs, which commas separate, each once."""
    hubs = tuple(dict.fromkeys(parse_url("hub", url, HUB_HINT) for url in text.split(",")))
    if len(hubs) > HUBS_MAX:
        raise NodeError(f"cannot use hub=: {len(hubs)} addresses, and at most {HUBS_MAX} work")
    return hubs


def parse_url(key: str, url: str, hint: str | None = None) -> str:
    """Return the URL of the word `key` without a trailing slash."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if the port is not a number
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NodeError(f"cannot use {key}={hide_user(url)}: not an http(s) address", hint=hint)
    return url.rstrip("/")


def parse_token(text: str, tell: Tell) -> str:
    """Return the enrolment token; it is a secret, so a line about it does not show it."""
    if text and not TOKEN.fullmatch(text):
        tell("cannot use enrol=: it is no token; the node presents none")
        return ""
    return text


def parse_optional(key: str, url: str, tell: Tell) -> str:
    """Return the URL of a word that the node can do without."""
    try:
        return parse_url(key, url) if url else ""
    except NodeError as error:
        tell(f"{error}; using none")
        return ""


def parse_proxy(url: str, tell: Tell) -> str:
    """Return the URL of an HTTP proxy: http://HOST:PORT, without a user."""
    found = parse_optional("net.proxy", url, tell)
    parts = urlsplit(found)
    if found and (parts.scheme != "http" or parts.path or parts.query or "@" in parts.netloc):
        tell(f"cannot use net.proxy={hide_user(url)}: a proxy is http://HOST:PORT; using none")
        return ""
    return found


def parse_kexec(text: str, tell: Tell) -> bool:
    """Return whether other kernels may be started without the firmware."""
    if text not in ("", "yes", "no"):
        tell(f"cannot use update.kexec={text[:40]}: it is yes or no; using no")
    return text == "yes"
