"""The seed in a real (software) TPM, through tpm2-tools: sealed, opened, kept, refused."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from common.efi.keys import Key
from core.identity.choose import BY_STATE, INSECURE, Places, choose
from core.identity.measured import Measured, SignedPolicy
from core.identity.model import Identity
from core.identity.sealed import MAGIC, SIZE, Policy
from core.identity.tools import TpmError
from core.identity.vault import CHANGED, INDEX, INDEX_ATTRIBUTES, Vault
from tests.helpers.tpm.machine import SoftTpm, boot, release_key, running_tpm, sections_of

pytestmark = pytest.mark.timeout(300)
NOT_WRITTEN = ("-C", "o", "-s", str(SIZE), "-a", INDEX_ATTRIBUTES)


@cache
def key(name: str) -> Key:
    """Return a release's key; the name tells keys apart."""
    return release_key(rsa.generate_private_key(65537, 2048))


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[SoftTpm]:
    with running_tpm(tmp_path) as tpm:
        yield tpm


def start(tpm: SoftTpm, measured: Measured, folder: Path | None = None) -> Identity:
    """Return the identity that a node has after a boot."""
    return choose(Places(Vault(tpm.tools(), measured), folder, None, measured.is_secure_boot_on))


def boot_release(tpm: SoftTpm, release: str, by: str | None = "own", **how: bool) -> Measured:
    """Boot a release that a key signed."""
    return boot(tpm, sections_of(release, key(by) if by else None), tpm.folder / "measured", **how)


def test_a_signed_update_opens_the_seed(tpm: SoftTpm) -> None:
    first = start(tpm, boot_release(tpm, "1"))
    assert (first.kind, first.why) == ("tpm", "")
    again = start(tpm, boot_release(tpm, "1"))
    updated = start(tpm, boot_release(tpm, "2"))
    assert again == first and updated == first
    for kind in ("loaded-session", "saved-session", "persistent"):
        assert tpm.tools().handles(kind) == set()


@pytest.mark.parametrize("by", [None, "other"])
def test_what_the_releases_key_has_not_signed_does_not_open_it(
    tpm: SoftTpm, tmp_path: Path, by: str | None
) -> None:
    """The node is somebody else for this boot; the seed is still there for the right release."""
    first = start(tpm, boot_release(tpm, "1"))
    other = start(tpm, boot_release(tpm, "2", by), tmp_path)
    assert other.kind == "ephemeral" and other.node != first.node
    assert "the seed in the TPM opens for the releases of the key" in other.why
    assert list(tmp_path.glob("seed")) == []
    assert start(tpm, boot_release(tpm, "3")) == first


def test_the_tpm_itself_refuses_a_false_signature(tpm: SoftTpm) -> None:
    """Nothing here is checked by the node: it claims the right key, and the right policy."""
    measured = boot_release(tpm, "1")
    start(tpm, measured)
    row, later = measured.policies[0], boot_release(tpm, "2")
    forged = SignedPolicy(later.policies[0].policy, row.signature)
    for policies in ((forged,), (row,)):
        claim = Measured(measured.key, measured.signer, policies, later.event_log)
        found = start(tpm, claim)
        assert found.kind == "ephemeral"
    assert (
        "the TPM refuses verifysignature"
        in start(tpm, Measured(measured.key, measured.signer, (forged,))).why
    )


def test_registers_that_changed_since_do_not_open_it(tpm: SoftTpm) -> None:
    measured = boot_release(tpm, "1")
    first = start(tpm, measured)
    tpm.tools().run("pcrextend", f"7:sha256={'11' * 32}")
    refused = start(tpm, measured)
    assert refused.kind == "ephemeral"
    assert refused.why.startswith(f"{CHANGED}: ") and "unseal" in refused.why
    assert start(tpm, boot_release(tpm, "1")) == first
    tpm.tools().run("pcrextend", f"11:sha256={'11' * 32}")
    assert start(tpm, measured).kind == "ephemeral"


def test_secure_boot_that_is_off_is_said(tpm: SoftTpm) -> None:
    assert start(tpm, boot_release(tpm, "1", secure=False)).why == INSECURE


def test_a_boot_without_signed_registers_seals_to_the_state_of_secure_boot(tpm: SoftTpm) -> None:
    first = start(tpm, boot_release(tpm, "1", None))
    assert (first.kind, first.why) == ("tpm", BY_STATE)
    assert start(tpm, boot_release(tpm, "2", None)) == first


def test_an_index_of_another_system_is_left_alone(tpm: SoftTpm, tmp_path: Path) -> None:
    tpm.tools().run("nvdefine", "-C", "o", "-s", "64", "-a", "ownerread|ownerwrite", f"{INDEX:#x}")
    found = start(tpm, boot_release(tpm, "1"), tmp_path)
    assert found.kind == "ephemeral"
    assert "belongs to another system" in found.why
    assert b"size: 64" in tpm.tools().run("nvreadpublic", f"{INDEX:#x}")


def test_a_seed_whose_writing_was_cut_off_is_sealed_anew(tpm: SoftTpm) -> None:
    measured = boot_release(tpm, "1")
    tpm.tools().run("nvdefine", *NOT_WRITTEN, f"{INDEX:#x}")
    assert Vault(tpm.tools(), measured).find() is None
    tools = tpm.tools()
    tools.write("part", bytes(range(200)))
    offset = str(len(MAGIC))
    tools.run("nvwrite", "-C", "o", "-i", "part", "--offset", offset, f"{INDEX:#x}")
    assert Vault(tpm.tools(), measured).find() is None
    first = start(tpm, measured)
    assert (first.kind, start(tpm, measured)) == ("tpm", first)


def test_a_damaged_seed_is_named_and_kept(tpm: SoftTpm, tmp_path: Path) -> None:
    measured = boot_release(tpm, "1")
    start(tpm, measured)
    tools = tpm.tools()
    tools.write("byte", b"?")
    tools.run("nvwrite", "-C", "o", "-i", "byte", "--offset", "100", f"{INDEX:#x}")
    content = tools.run("nvread", "-C", "o", f"{INDEX:#x}")
    found = start(tpm, measured, tmp_path)
    assert found.kind == "ephemeral"
    assert f"NV index {INDEX:#x}" in found.why and "damaged" in found.why
    assert tpm.tools().run("nvread", "-C", "o", f"{INDEX:#x}") == content
    assert not (tmp_path / "seed").exists()


def test_a_seed_that_is_there_is_not_replaced(tpm: SoftTpm) -> None:
    measured = boot_release(tpm, "1")
    vault = Vault(tpm.tools(), measured)
    assert vault.seal(bytes(32)) == Policy.RELEASE
    with pytest.raises(Exception, match="it has one"):
        vault.seal(bytes(32))


def test_a_seed_on_the_disk_stays_the_nodes(tpm: SoftTpm, tmp_path: Path) -> None:
    """The farmer switches the TPM on: the node is still the same."""
    measured = boot_release(tpm, "1")
    first = choose(Places(None, tmp_path))
    found = start(tpm, measured, tmp_path)
    assert (found.kind, found.node) == ("disk", first.node)
    assert Vault(tpm.tools(), measured).find() is None


def test_a_tpm_that_is_locked_out_opens_it(tpm: SoftTpm) -> None:
    """Wrong passwords for something else must not take the node's identity away."""
    measured = boot_release(tpm, "1")
    first = start(tpm, measured)
    tools = tpm.tools()
    tools.run("dictionarylockout", "-s", "-n", "1", "-t", "1000", "-l", "1000")
    tools.run("createprimary", "-C", "o", "-p", "right", "-c", "locked.ctx")
    for _ in range(2):
        with pytest.raises(TpmError):
            tools.run("create", "-C", "locked.ctx", "-P", "wrong")
    assert b"inLockout:                 1" in tools.run("getcap", "properties-variable")
    assert start(tpm, measured) == first


def test_an_owner_with_a_password_leaves_the_disk(tpm: SoftTpm, tmp_path: Path) -> None:
    measured = boot_release(tpm, "1")
    tpm.tools().run("changeauth", "-c", "o", "secret")
    found = start(tpm, measured, tmp_path)
    assert found.kind == "disk"
    assert "createprimary" in found.why
    assert start(tpm, measured, tmp_path).node == found.node


def test_a_tpm_that_does_not_answer_leaves_a_node_that_says_so(
    tpm: SoftTpm, tmp_path: Path
) -> None:
    measured = boot_release(tpm, "1")
    tpm.stop()
    found = start(tpm, measured, tmp_path)
    assert found.kind == "ephemeral"
    assert found.why and not (tmp_path / "seed").exists()
