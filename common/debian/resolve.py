"""Asks apt which packages a request leads to, without root and apart from the host's apt.

apt runs with folders, sources and settings of its own, an empty list of installed packages, and
Debian's keyring: it checks the signature of the package lists, and their hashes are those that a
lock records. Of the host's settings only those of the network count (proxies, retries).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from common.debian.lock import DebianLock, LockedPackage, parse_package
from common.errors import ZosError
from common.run import CommandError, run
from common.scratch import scratch

MIRROR = "http://deb.debian.org"
SUITE = "trixie"  # Debian 13
ROLLING = ("forky", "sid")  # suites without updates and security of their own
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
UPDATE_DEADLINE_S = 600
ASK_DEADLINE_S = 120
NETWORK_SETTING = re.compile(r"Acquire::(http|https|Retries|ForceIPv[46])\b.*")
CHOSEN = re.compile(r"Inst ([^\s:]+)(?::\S+)? \((\S+) .*\[\S+\]\)")

# APT_CONFIG is read before every other file, and names the others.
SETTINGS = """\
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Log "{root}";
Dir::Etc "{root}";
Dir::Etc::Main "/dev/null";
Dir::Etc::Parts "/dev/null";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Check-Valid-Until "{check_expiry}";
"""


class ResolveError(ZosError):
    """apt could not tell which packages a request leads to."""


def resolve(
    packages: Iterable[str],
    *,
    suite: str = SUITE,
    components: Sequence[str] = ("main",),
    architecture: str = "amd64",
    allow_expired: bool = False,
    progress: Callable[[str], None] | None = None,
) -> DebianLock:
    """Return a lock of the newest versions of `packages` and their dependencies.

    With `allow_expired`, package lists may be older than their signature says they are valid: on
    purpose, from a mirror that is kept at one day. Raises `ResolveError`.
    """
    request = tuple(sorted(set(packages)))
    with scratch("apt") as root:
        try:
            env = prepare_root(root, suite, components, architecture, allow_expired)
            if progress:
                progress(f"fetching the package lists of Debian's {suite}")
            run(["apt-get", "-q", "update", "--error-on=any"], timeout_s=UPDATE_DEADLINE_S, env=env)
            rows = ask(request, env)
        except CommandError as error:
            raise ResolveError(
                f"cannot find the packages: {error.message}",
                hint="check their names, and that this machine reaches a mirror of Debian",
            ) from error
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return DebianLock(suite, tuple(components), architecture, now, request, tuple(rows))


def prepare_root(
    root: Path, suite: str, components: Sequence[str], architecture: str, allow_expired: bool
) -> dict[str, str]:
    """Fill the folders of a private apt; return the environment that selects them."""
    if not KEYRING.exists():
        raise ResolveError(
            f"cannot check Debian's signatures: there is no {KEYRING}",
            hint="install debian-archive-keyring",
        )
    for name in ("state/lists/partial", "cache/archives/partial", "preferences.d"):
        (root / name).mkdir(parents=True)
    (root / "status").write_bytes(b"")
    (root / "sources.list").write_text("".join(source_lines(suite, components)))
    check_expiry = "false" if allow_expired else "true"
    settings = SETTINGS.format(root=root, architecture=architecture, check_expiry=check_expiry)
    (root / "apt.conf").write_text(settings + "".join(network_settings()))
    return {"APT_CONFIG": str(root / "apt.conf"), "LC_ALL": "C"}


def source_lines(suite: str, components: Sequence[str]) -> Iterator[str]:
    """Yield the lines of sources.list for a suite, with its updates."""
    places = [f"{MIRROR}/debian {suite}"]
    if suite not in ROLLING:
        places += [f"{MIRROR}/debian {suite}-updates"]
        places += [f"{MIRROR}/debian-security {suite}-security"]
    for place in places:
        yield f"deb [signed-by={KEYRING}] {place} {' '.join(components)}\n"


def network_settings() -> Iterator[str]:
    """Yield the host's settings of apt that say how to reach a mirror."""
    for line in run(["apt-config", "dump"], timeout_s=ASK_DEADLINE_S).decode().splitlines():
        if NETWORK_SETTING.fullmatch(line):
            yield f"{line}\n"


def ask(request: Sequence[str], env: dict[str, str]) -> list[LockedPackage]:
    """Return what apt would install for `request`, sorted by name."""
    call = ["apt-get", "-q", "--simulate", "install", "--", *request]
    said = run(call, timeout_s=ASK_DEADLINE_S, env=env).decode()
    chosen = {m[1]: m[2] for line in said.splitlines() if (m := CHOSEN.match(line))}
    words = [f"{name}={version}" for name, version in sorted(chosen.items())]
    text = run(["apt-cache", "show", "--", *words], timeout_s=ASK_DEADLINE_S, env=env).decode()
    rows: dict[str, LockedPackage] = {}
    for stanza in text.split("\n\n"):
        if stanza.strip():
            row = read_stanza(stanza)
            rows.setdefault(row.name, row)
    if {name: row.version for name, row in rows.items()} != chosen or not chosen:
        raise ResolveError("cannot find the packages: apt described others than it chose")
    return [rows[name] for name in sorted(rows)]


def read_stanza(stanza: str) -> LockedPackage:
    """Return the package that a stanza of a package list describes."""
    pairs = (line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
    facts = {pair[0]: pair[1].strip() for pair in pairs}
    name = facts.get("Package", "")
    row = {
        "name": name,
        "version": facts.get("Version", ""),
        "architecture": facts.get("Architecture", ""),
        "source": facts.get("Source", name).partition(" ")[0],
        "path": facts.get("Filename", ""),
        "size": int(facts.get("Size", "0")),
        "sha256": facts.get("SHA256", ""),
    }
    return parse_package(row, "Debian's package list")
