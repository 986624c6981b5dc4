"""Which identity the node has. What is there already wins; nothing that is damaged is replaced.

1. A seed that is sealed in the TPM.
2. The seed file on the farmer's disk.
3. A new seed: in the TPM, else on the disk, else in memory, for this boot only.

If a place fails where the node's seed may be, the identity is ephemeral, and says so: a second
lasting identity would not be better. It outlives the daemon, which an update starts again.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from core.identity.model import SEED_BYTES, Identity, IdentityError
from core.identity.places import SEED
from core.identity.sealed import Policy
from core.identity.seedfile import read_seed, write_seed
from core.identity.tools import TpmError
from core.identity.vault import Vault

NO_TPM = "the machine has no TPM 2.0"
NO_DISK = "there is no disk for it"
OLDER = "the seed on the disk was there first"
BY_STATE = "the TPM opens the seed for other releases, too: it was no zos.efi with signed PCRs"
EARLIER = "there was no place for it when this boot began"
INSECURE = "Secure Boot is off: another system on this machine could open the seed"


@dataclass(frozen=True)
class Places:
    """Where a seed may be: the TPM, a folder on a disk, and one in memory for this boot."""

    vault: Vault | None = None
    folder: Path | None = None
    memory: Path | None = None
    secure_boot: bool = False


def choose(places: Places) -> Identity:
    """Return the node's identity."""
    try:
        found = find(places)
    except (TpmError, IdentityError) as error:
        return make_ephemeral(places, reason_of(error))
    if found is None and places.memory and (places.memory / SEED).exists():
        return make_ephemeral(places, EARLIER)
    return found or make(places)


def find(places: Places) -> Identity | None:
    """Return the identity that there is. Raises `TpmError` or `IdentityError` if it is lost."""
    sealed = places.vault.find() if places.vault else None
    if places.vault and sealed:
        why = explain_policy(sealed.policy, places.secure_boot)
        return Identity(places.vault.open(sealed), "tpm", why)
    seed = read_seed(places.folder / SEED) if places.folder else None
    return Identity(seed, "disk", OLDER if places.vault else NO_TPM) if seed else None


def make(places: Places) -> Identity:
    """Return a new identity, kept in the best place that works."""
    seed, reasons = new_seed(), []
    if places.vault:
        try:
            policy = places.vault.seal(seed)
            return Identity(seed, "tpm", explain_policy(policy, places.secure_boot))
        except (TpmError, IdentityError) as error:
            reasons.append(reason_of(error))
    else:
        reasons.append(NO_TPM)
    if places.folder:
        try:
            write_seed(places.folder / SEED, seed)
            return Identity(seed, "disk", "; ".join(reasons))
        except IdentityError as error:
            reasons.append(reason_of(error))
    else:
        reasons.append(NO_DISK)
    return make_ephemeral(places, "; ".join(reasons))


def make_ephemeral(places: Places, why: str) -> Identity:
    """Return the identity of this boot: that of the daemon's earlier start, or a new one."""
    path = places.memory / SEED if places.memory else None
    seed = read_seed(path) if path else None
    if seed is None:
        seed = new_seed()
        if path:
            write_seed(path, seed)
    return Identity(seed, "ephemeral", why)


def new_seed() -> bytes:
    """Return a random seed."""
    return os.urandom(SEED_BYTES)


def explain_policy(policy: Policy, secure_boot: bool) -> str:
    """Return what an operator has to know of a sealed seed."""
    said = [BY_STATE] if policy == Policy.STATE else []
    return "; ".join(said if secure_boot else [*said, INSECURE])


def reason_of(error: TpmError | IdentityError) -> str:
    """Return an error in one line; a tool's command line is of no use to an operator."""
    is_useful = error.hint and not isinstance(error, TpmError)
    return f"{error.message} ({error.hint})" if is_useful else error.message
