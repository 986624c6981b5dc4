"""The identity daemon: it alone has the node's private key, and says what may be signed with it.

Methods: `describe` (everybody), `sign` and `quote` (core-report), `certificate` and `authority`
(core-api; the authority's certificate is public, so everybody).
"""

import base64
import contextlib
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from common.ipc.errors import IpcError
from common.ipc.server import Method, Peer
from common.nodes.envelope import seal
from core.daemon import Work, run_daemon, tell
from core.errors import CoreError
from core.identity.certificates import make_authority, make_leaf
from core.identity.choose import Places, choose
from core.identity.measured import Measured, read_measured
from core.identity.model import Identity
from core.identity.places import DEVICE, DISK, HOME, NAME
from core.identity.quoting import quote
from core.identity.tools import COMMAND_S, TASK_S, Tools, TpmError
from core.identity.vault import Vault
from core.places import API, IDENTITY, REPORT
from core.sandbox.profile import Profile

PROFILE = Profile(NAME, IDENTITY, has_programs=True)  # tpm2-tools
# The kinds of messages that a daemon may have signed, by its user.
KINDS: Mapping[int, frozenset[str]] = {REPORT.number: frozenset({"report"})}
NONCE_MAX_CHARS = 256
# To find or make the seed takes up to 26 commands, and their programs come from the hub meanwhile.
# To give up costs the node its id for this boot.
START_S = 240.0


def main() -> NoReturn:
    """Serve until SIGTERM."""
    run_daemon(PROFILE, begin)


def begin() -> Work:
    """Find the node's identity."""
    measured = read_measured()
    with opened_tools(START_S, START_S) as tools:
        vault = Vault(tools, measured) if tools else None
        identity = choose(places_of(vault, measured))
    tell(NAME, f"this is node {identity.node}: {identity.kind}")
    if identity.why:
        tell(NAME, identity.why)
    return Work(Keeper(identity, measured).methods())


def places_of(vault: Vault | None, measured: Measured) -> Places:
    """Return where the seed may be on this node. Raises `CoreError` if its disk is not mounted, and
    no seed is in the TPM: another seed would be made in place of the one on it."""
    is_lost = DISK.exists() and not DISK.is_mount()
    if is_lost and not is_sealed(vault):
        raise CoreError(
            f"cannot reach the seed: no disk is mounted on {DISK}",
            hint="zinit restart core-identity-prepare",
        )
    disk = DISK if DISK.exists() and not is_lost else None
    return Places(vault, disk, HOME, measured.is_secure_boot_on)


def is_sealed(vault: Vault | None) -> bool:
    """Return whether a seed is in the TPM; one that does not answer counts as no."""
    try:
        return vault is not None and vault.find() is not None
    except TpmError:
        return False


@contextlib.contextmanager
def opened_tools(
    task_s: float = TASK_S, command_s: float = COMMAND_S, device: Path = DEVICE
) -> Iterator[Tools | None]:
    """Yield the TPM's tools with a folder for one task; None if there is no TPM 2.0."""
    if not device.exists():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="tpm-", dir=HOME) as folder:
        yield Tools(Path(folder), task_s=task_s, command_s=command_s)


class Keeper:
    """Answers for an identity."""

    def __init__(self, identity: Identity, measured: Measured) -> None:
        self._identity = identity
        self._measured = measured
        self._tpm = threading.Lock()

    def methods(self) -> dict[str, Method]:
        """Return what is served, and to whom."""
        return {
            "describe": Method(self.describe),
            "authority": Method(self.authority),
            "sign": Method(self.sign, frozenset(KINDS)),
            "quote": Method(self.quote, frozenset({REPORT.number})),
            "certificate": Method(self.certificate, frozenset({API.number})),
        }

    def describe(self, _peer: Peer) -> dict[str, Any]:
        """Return the node's names, and where its key is kept."""
        identity = self._identity
        return {
            "node": identity.node,
            "public": base64.b64encode(identity.public).decode(),
            "address": identity.address,
            "kind": identity.kind,
            "why": identity.why,
        }

    def authority(self, _peer: Peer) -> str:
        """Return the certificate of the node's key, in PEM."""
        return make_authority(self._identity)

    def sign(self, peer: Peer, kind: str, payload: dict[str, Any]) -> str:
        """Return the signed message, if the caller may send one of this kind."""
        if kind not in KINDS.get(peer.uid, ()) or not isinstance(payload, dict):
            raise IpcError(
                f"user {peer.uid} may not have {str(kind)[:40]!r} signed", code="refused"
            )
        identity = self._identity
        return seal(identity.key.sign, identity.public, kind, payload).decode()

    def certificate(self, _peer: Peer, public: str, names: list[str]) -> str:
        """Return a certificate for a key of the node's API, in PEM."""
        return make_leaf(self._identity, public, names)

    def quote(self, _peer: Peer, nonce: str) -> dict[str, Any] | None:
        """Return the TPM's quote; None if there is no TPM or event log, or the TPM fails."""
        if not isinstance(nonce, str) or len(nonce) > NONCE_MAX_CHARS:
            raise IpcError("a nonce is a text, and short", code="params")
        with self._tpm, opened_tools() as tools:
            if tools is None or not self._measured.event_log:
                return None
            try:
                return quote(tools, self._measured.event_log, self._identity.node, nonce)
            except TpmError as error:
                tell(NAME, f"cannot quote: {error.message}")
                return None
