"""Each attack that TUF is made against, on our client and on python-tuf's: both refuse.

A client has seen the channels once; then somebody else's files are what it gets.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadError, RepositoryError

from common.releases.channel import open_manifest
from common.tuf.errors import (
    ExpiredError,
    MalformedError,
    MetadataError,
    MismatchError,
    RollbackError,
    SignatureError,
)
from tests.helpers.releases import forge
from tests.helpers.releases.clients import Ours, Reference
from tests.helpers.releases.store import DAY_S, Maintainer

Files = dict[str, bytes]


class Scene:
    """A repository, its state before and after a change, and both clients."""

    def __init__(self, top: Path) -> None:
        self.maintainer = Maintainer.begin(top)
        self.maintainer.publish("dev", "1.0")
        self.maintainer.promote("dev", "prod")
        self.old = self.maintainer.files()
        self.ours = Ours(self.maintainer.root)
        self.reference = Reference(self.maintainer.root, top / "client")
        self.visit(self.old)
        self.maintainer.publish("dev", "1.1")
        self.maintainer.promote("dev", "prod")
        self.new = self.maintainer.files()

    def visit(self, files: Files, now: float | None = None) -> str:
        """Let both clients update; both must accept and see the same."""
        at = self.maintainer.now if now is None else now
        found = self.ours.update(files, "prod", at)
        assert self.reference.update(files, "prod", at)["release"] == found.release
        return found.release

    def refuse(self, files: Files, error: type[MetadataError], now: float | None = None) -> None:
        """Both clients must refuse, and ours keeps what it trusted."""
        at, before = self.maintainer.now if now is None else now, self.ours.trusted
        with pytest.raises(error):
            self.ours.update(files, "prod", at)
        assert self.ours.trusted == before
        with pytest.raises((RepositoryError, DownloadError)):
            self.reference.update(files, "prod", at)

    def forget(self) -> None:
        """Let python-tuf's client begin anew: it keeps files that we don't."""
        folder = Path(tempfile.mkdtemp(dir=self.maintainer.top))
        self.reference = Reference(self.maintainer.root, folder)

    @property
    def online(self) -> tuple[object, object]:
        """The stolen keys of snapshot and timestamp."""
        return self.maintainer.key("snapshot"), self.maintainer.key("timestamp")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_what_is_published_is_seen(scene: Scene) -> None:
    assert scene.visit(scene.new) == "1.1"
    assert scene.visit(scene.new) == "1.1"


def test_a_signed_roll_back_is_seen(scene: Scene) -> None:
    scene.visit(scene.new)
    scene.maintainer.rollback("prod")
    assert scene.visit(scene.maintainer.files()) == "1.0"


def test_an_older_timestamp_is_refused(scene: Scene) -> None:
    scene.visit(scene.new)
    with pytest.raises(RollbackError):
        scene.ours.update(scene.old, "prod", scene.maintainer.now)
    with pytest.raises(RepositoryError):
        scene.reference.update(scene.old, "prod", scene.maintainer.now)


def test_the_timestamp_key_alone_cannot_go_back(scene: Scene) -> None:
    scene.visit(scene.new)
    _, key = scene.online
    stamp = forge.load(scene.new, "timestamp.json")
    stamp["meta"] = forge.load(scene.old, "timestamp.json")["meta"]
    stamp["version"] += 1
    scene.refuse({**scene.new, "timestamp.json": forge.sign(stamp, [key])}, RollbackError)


def test_both_online_keys_cannot_bring_an_older_channel(scene: Scene) -> None:
    scene.visit(scene.new)
    shot = forge.load(scene.new, forge.newest(scene.new, "snapshot"))
    shot["meta"]["prod.json"] = forge.load(scene.old, forge.newest(scene.old, "snapshot"))["meta"][
        "prod.json"
    ]
    scene.refuse(forge.reseal(scene.new, shot, *scene.online), RollbackError)


def test_both_online_keys_cannot_remove_a_channel(scene: Scene) -> None:
    scene.visit(scene.new)
    shot = forge.load(scene.new, forge.newest(scene.new, "snapshot"))
    del shot["meta"]["prod.json"]
    scene.refuse(forge.reseal(scene.new, shot, *scene.online), RollbackError)


@pytest.mark.parametrize("thief", ["dev", "snapshot", "targets", "stranger"])
def test_no_key_but_its_own_signs_a_channel(scene: Scene, thief: str) -> None:
    stranger = CryptoSigner.generate_ed25519()
    key = stranger if thief == "stranger" else scene.maintainer.key(thief)
    signed = forge.load(scene.new, forge.newest(scene.new, "prod"))
    signed["version"] += 1
    signed["targets"]["prod/vmlinuz"]["hashes"]["sha256"] = "0" * 64
    scene.refuse(forge.replace(scene.new, "prod", signed, [key], *scene.online), SignatureError)


def test_too_few_signatures_are_refused(scene: Scene) -> None:
    second = CryptoSigner.generate_ed25519()
    keys = scene.maintainer.keyring
    scene.maintainer.__dict__["keyring"] = {**keys, second.public_key.keyid: second}
    scene.maintainer.rotate("prod", add=[second.public_key], threshold=2)
    files = scene.maintainer.files()
    assert scene.visit(files) == "1.1"
    signed = forge.load(files, forge.newest(files, "prod"))
    one = [scene.maintainer.key("prod")]
    signed["version"] += 1
    both = forge.replace(files, "prod", signed, [*one, second], *scene.online)
    assert scene.visit(both) == "1.1"
    signed["version"] += 1
    scene.refuse(forge.replace(both, "prod", signed, one, *scene.online), SignatureError)


def test_one_key_with_two_ids_is_one_key(scene: Scene) -> None:
    """python-tuf counts ids; ours counts keys, so that a threshold can't be met by one person."""
    targets = forge.load(scene.new, forge.newest(scene.new, "targets"))
    (role,) = [row for row in targets["delegations"]["roles"] if row["name"] == "prod"]
    keys = targets["delegations"]["keys"]
    keys["other-id"] = dict(keys[role["keyids"][0]])
    role["keyids"].append("other-id")
    role["threshold"] = 2
    targets["version"] += 1
    key = scene.maintainer.key("targets")
    files = forge.replace(scene.new, "targets", targets, [key], *scene.online)
    signed = forge.load(files, forge.newest(files, "prod"))
    signer = scene.maintainer.key("prod")
    alias = CryptoSigner(signer._private_key)
    alias._public_key.keyid = "other-id"
    signed["version"] += 1
    forged = forge.replace(files, "prod", signed, [signer, alias], *scene.online)
    with pytest.raises(SignatureError):
        scene.ours.update(forged, "prod", scene.maintainer.now)


@pytest.mark.parametrize("days", [15, 366, 3660])
def test_what_is_held_back_expires(scene: Scene, days: int) -> None:
    scene.refuse(scene.old, ExpiredError, scene.maintainer.now + days * DAY_S)


def test_a_clock_ten_years_behind_accepts_what_is_signed_but_nothing_older(scene: Scene) -> None:
    then = scene.maintainer.now - 3660 * DAY_S
    assert scene.visit(scene.new, then) == "1.1"
    scene.refuse(scene.old, RollbackError, then)


@pytest.mark.parametrize("role", ["prod", "snapshot"])
def test_files_of_two_states_do_not_mix(scene: Scene, role: str) -> None:
    old, new = forge.newest(scene.old, role), forge.newest(scene.new, role)
    scene.refuse({**scene.new, new: scene.old[old]}, MismatchError)


def test_metadata_of_another_role_is_refused(scene: Scene) -> None:
    snapshot = scene.new[forge.newest(scene.new, "snapshot")]
    scene.refuse({**scene.new, "timestamp.json": snapshot}, MalformedError)


@pytest.mark.parametrize("name", ["timestamp.json", "snapshot", "prod", "targets"])
def test_a_file_that_is_missing_or_endless(scene: Scene, name: str) -> None:
    place = name if name.endswith(".json") else forge.newest(scene.new, name)
    scene.forget()
    scene.refuse({n: d for n, d in scene.new.items() if n != place}, MismatchError)
    scene.forget()
    scene.refuse({**scene.new, place: scene.new[place] + b" " * 3_000_000}, MismatchError)


def test_an_altered_file_is_refused(scene: Scene) -> None:
    altered = scene.new["timestamp.json"].replace(b'"version":', b'"version": 1', 1)
    for data in (altered, b"", b"{}", b"[" * 100_000, b"\xff", b'{"signed": {}}'):
        scene.refuse({**scene.new, "timestamp.json": data}, MetadataError)


def test_the_root_is_followed_key_by_key(scene: Scene, tmp_path: Path) -> None:
    for name in ("one", "two"):
        key = CryptoSigner.generate_ed25519()
        keys = {**scene.maintainer.keyring, key.public_key.keyid: key}
        scene.maintainer.__dict__["keyring"] = keys
        old = scene.maintainer.open().root.signed.roles["root"].keyids[0]
        scene.maintainer.rotate("root", add=[key.public_key], remove=[old])
        assert name
    files = scene.maintainer.files()
    assert "3.root.json" in files
    assert scene.visit(files) == "1.1"
    fresh = Reference(scene.maintainer.root, tmp_path / "fresh")
    assert fresh.update(files, "prod", scene.maintainer.now)["release"] == "1.1"
    scene.refuse({n: d for n, d in files.items() if n != "timestamp.json"}, MismatchError)


def forge_root(scene: Scene, change: Callable[[forge.Value], object], *keys: str) -> Files:
    root = forge.load(scene.new, "1.root.json")
    root["version"] = 2
    change(root)
    return {**scene.new, "2.root.json": forge.sign(root, map(scene.maintainer.key, keys))}


def test_a_root_needs_the_keys_of_the_one_before(scene: Scene) -> None:
    scene.refuse(forge_root(scene, lambda _: None, "root-1"), SignatureError)
    scene.refuse(forge_root(scene, lambda _: None, "targets", "prod"), SignatureError)


def test_a_root_cannot_skip_a_version(scene: Scene) -> None:
    both = ("root-1", "root-2")
    for version in (1, 3):
        files = forge_root(scene, lambda it, v=version: it.update(version=v), *both)  # type: ignore[misc]
        scene.refuse(files, RollbackError)


def test_an_expired_root_is_refused(scene: Scene) -> None:
    expired = {"expires": "2020-01-01T00:00:00Z"}
    files = forge_root(scene, lambda it: it.update(expired), "root-1", "root-2")
    scene.refuse(files, ExpiredError)


def test_new_online_keys_undo_absurd_versions(scene: Scene) -> None:
    """A thief of the online keys signs a huge version; the keys are rotated; clients recover."""
    shot = forge.load(scene.new, forge.newest(scene.new, "snapshot"))
    shot["version"] = 10**6
    scene.visit(forge.reseal(scene.new, shot, *scene.online))
    scene.refuse(scene.new, RollbackError)
    for role in ("snapshot", "timestamp"):
        key = CryptoSigner.generate_ed25519()
        keys = {**scene.maintainer.keyring, key.public_key.keyid: key}
        scene.maintainer.__dict__["keyring"] = keys
        old = scene.maintainer.key(role).public_key.keyid
        scene.maintainer.rotate(role, add=[key.public_key], remove=[old])
    assert scene.visit(scene.maintainer.files()) == "1.1"


def test_a_channel_names_only_its_own_files(scene: Scene) -> None:
    signed = forge.load(scene.new, forge.newest(scene.new, "prod"))
    signed["version"] += 1
    signed["targets"]["dev/vmlinuz"] = signed["targets"]["prod/vmlinuz"]
    own = [scene.maintainer.key("prod")]
    with pytest.raises(MismatchError):
        files = forge.replace(scene.new, "prod", signed, own, *scene.online)
        scene.ours.update(files, "prod", scene.maintainer.now)


def test_a_manifest_is_the_one_that_is_signed(scene: Scene) -> None:
    channel = scene.ours.update(scene.new, "prod", scene.maintainer.now)
    good = scene.maintainer.layout.release("1.1").read_bytes()
    assert open_manifest(channel, good).version == "1.1"
    for data in (good + b" ", good.replace(b"1.1", b"1.2"), b"{}"):
        with pytest.raises(MismatchError):
            open_manifest(channel, data)
