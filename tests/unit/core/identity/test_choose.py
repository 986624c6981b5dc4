"""Which identity a node has, by what its places have and do. The real TPM is in functional/core."""

from pathlib import Path

import pytest

from core.identity.choose import BY_STATE, EARLIER, INSECURE, NO_DISK, NO_TPM, OLDER, Places, choose
from core.identity.model import IdentityError
from core.identity.places import SEED as SEED_FILE
from core.identity.sealed import Policy, Sealed, decode, encode
from core.identity.seedfile import encode_seed, write_seed
from tests.unit.core.identity.fakes import FakeVault

SEED = bytes(range(32))


def test_without_a_place_it_is_of_this_boot_only() -> None:
    first, second = choose(Places()), choose(Places())
    assert first.kind == "ephemeral" and first.node != second.node
    assert first.why == f"{NO_TPM}; {NO_DISK}"


def test_an_identity_of_this_boot_outlives_the_daemon(tmp_path: Path) -> None:
    first = choose(Places(memory=tmp_path))
    again = choose(Places(FakeVault(), memory=tmp_path))  # it could be sealed now
    assert (again.node, again.kind, again.why) == (first.node, "ephemeral", EARLIER)
    failed = choose(Places(FakeVault(SEED, fails="open"), memory=tmp_path))
    assert (failed.node, failed.why) == (first.node, "it fails to open")
    assert choose(Places(FakeVault(SEED), memory=tmp_path)).seed == SEED
    assert (tmp_path / SEED_FILE).stat().st_mode & 0o777 == 0o400


def test_the_disk_keeps_it_where_there_is_no_tpm(tmp_path: Path) -> None:
    first = choose(Places(None, tmp_path))
    assert (first.kind, first.why) == ("disk", NO_TPM)
    assert choose(Places(None, tmp_path)) == first
    assert (tmp_path / SEED_FILE).read_bytes() == encode_seed(first.seed)


def test_the_tpm_comes_first(tmp_path: Path) -> None:
    vault = FakeVault()
    first = choose(Places(vault, tmp_path, secure_boot=True))
    assert (first.kind, first.why, vault.seed) == ("tpm", "", first.seed)
    assert choose(Places(vault, tmp_path, secure_boot=True)) == first
    assert not (tmp_path / SEED_FILE).exists()


def test_a_seed_on_the_disk_wins_over_a_new_one_in_the_tpm(tmp_path: Path) -> None:
    write_seed(tmp_path / SEED_FILE, SEED)
    vault = FakeVault()
    found = choose(Places(vault, tmp_path))
    assert (found.seed, found.kind, found.why, vault.seed) == (SEED, "disk", OLDER, None)


def test_a_sealed_seed_wins_over_one_on_the_disk(tmp_path: Path) -> None:
    write_seed(tmp_path / SEED_FILE, SEED)
    assert choose(Places(FakeVault(bytes(32)), tmp_path)).seed == bytes(32)


@pytest.mark.parametrize("fails", ["find", "open"])
def test_a_tpm_whose_seed_is_out_of_reach_makes_no_other_lasting_one(
    tmp_path: Path, fails: str
) -> None:
    found = choose(Places(FakeVault(SEED, fails=fails), tmp_path))
    assert (found.kind, found.why) == ("ephemeral", f"it fails to {fails}")
    assert found.seed != SEED and not (tmp_path / SEED_FILE).exists()


def test_a_tpm_that_takes_no_seed_leaves_the_disk(tmp_path: Path) -> None:
    vault = FakeVault(fails="seal")
    assert choose(Places(vault, tmp_path)).why == "it fails to seal"
    assert choose(Places(vault, tmp_path)).kind == "disk"
    assert choose(Places(vault)).why == f"it fails to seal; {NO_DISK}"


def test_a_disk_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    found = choose(Places(None, tmp_path / "none"))
    assert found.kind == "ephemeral"
    assert f"cannot write the seed to {tmp_path / 'none' / SEED_FILE}" in found.why


@pytest.mark.parametrize(
    ("policy", "secure_boot", "why"),
    [
        (Policy.RELEASE, True, ""),
        (Policy.RELEASE, False, INSECURE),
        (Policy.STATE, True, BY_STATE),
        (Policy.STATE, False, f"{BY_STATE}; {INSECURE}"),
    ],
)
def test_what_the_policy_does_not_hold_off_is_said(
    policy: Policy, secure_boot: bool, why: str
) -> None:
    assert choose(Places(FakeVault(SEED, policy), secure_boot=secure_boot)).why == why


def test_what_stands_in_the_tpm_is_whole_or_refused() -> None:
    sealed = Sealed(Policy.RELEASE, bytes(range(32)), b"public" * 12, b"private" * 20)
    content = encode(sealed)
    assert len(content) == 512 and decode(content) == sealed
    for unfinished in (bytes(512), b"\xff" * 512, bytes(8) + content[8:]):
        assert decode(unfinished) is None
    for at in range(512):
        damaged = bytearray(content)
        damaged[at] ^= 1
        with pytest.raises(IdentityError, match="damaged"):
            decode(bytes(damaged))
    for cut in (content[:-1], content + b"\0", content[:8]):
        with pytest.raises(IdentityError):
            decode(cut)
    with pytest.raises(IdentityError, match="too large"):
        encode(Sealed(Policy.RELEASE, bytes(32), bytes(300), bytes(200)))
