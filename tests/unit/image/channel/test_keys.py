"""Keys: made, listed, rotated; changes that need several hands; files and passphrases."""

import io
import json
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from common.errors import ZosError
from common.tuf.errors import MetadataError
from image.channel.actions import publish
from image.channel.commit import KeysMissingError
from image.channel.garbage import collect
from image.channel.keys import list_keys, make_keys
from image.channel.repository import open_repository
from image.channel.roles import ROLES
from image.channel.signers import (
    Keyring,
    load_file,
    load_keyring,
    load_public,
    make_key,
    parse_uri,
    public_text,
    read_pin,
)
from image.channel.staging import (
    STAGED,
    describe_change,
    drop_staged,
    load_staged,
    sign_staged,
)
from image.errors import ImageError
from image.release.store import hold_store
from tests.helpers.releases.clients import Ours
from tests.helpers.releases.store import Maintainer


@pytest.fixture
def maintainer(tmp_path: Path) -> Maintainer:
    return Maintainer.begin(tmp_path)


def add_key(maintainer: Maintainer, name: str) -> CryptoSigner:
    """Make a further key in the maintainer's folder."""
    signer = make_key(maintainer.top / "keys" / f"{name}.pem")
    maintainer.keys_changed()
    return signer


def only(*signers: CryptoSigner) -> Keyring:
    return {signer.public_key.keyid: signer for signer in signers}


def test_every_role_has_its_keys(maintainer: Maintainer) -> None:
    holders = list_keys(maintainer.open())
    assert [it.role for it in holders] == ["root", *ROLES]
    assert len({it.keyid for it in holders}) == len(holders)
    assert {it.role: it.threshold for it in holders}["root"] == 2


@pytest.mark.parametrize("role", ROLES)
def test_a_key_is_replaced_and_no_client_is_lost(maintainer: Maintainer, role: str) -> None:
    maintainer.publish("prod", "1.0")
    client = Ours(maintainer.root)
    client.update(maintainer.files(), "prod", maintainer.now)
    old = next(it.keyid for it in list_keys(maintainer.open()) if it.role == role)
    new = add_key(maintainer, "new")
    maintainer.rotate(role, add=[new.public_key], remove=[old[:16]])
    ids = [it.keyid for it in list_keys(maintainer.open()) if it.role == role]
    assert new.public_key.keyid in ids
    assert old not in ids
    assert client.update(maintainer.files(), "prod", maintainer.now).release == "1.0"
    remaining = {keyid: signer for keyid, signer in maintainer.keyring.items() if keyid != old}
    maintainer.add("1.1")
    maintainer.change(lambda it: publish(it, "prod", "1.1", maintainer.reason()), remaining)
    assert client.update(maintainer.files(), "prod", maintainer.now).release == "1.1"
    assert Ours(maintainer.root).update(maintainer.files(), "prod", maintainer.now).sequence >= 3


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_an_online_key_that_was_lost_is_replaced(maintainer: Maintainer, role: str) -> None:
    lost = maintainer.key(role).public_key.keyid
    new = add_key(maintainer, "new")
    maintainer.keyring.pop(lost)  # type: ignore[attr-defined]
    maintainer.rotate(role, add=[new.public_key], remove=[lost])
    assert maintainer.read("prod").sequence == 1


def test_a_killed_rotation_of_a_lost_key_is_finished(maintainer: Maintainer) -> None:
    """Between a root with new keys and what they sign, nothing is valid; it can be renewed."""
    lost = maintainer.key("timestamp").public_key.keyid
    before = (maintainer.layout.metadata("timestamp.json")).read_bytes()
    new = add_key(maintainer, "new")
    maintainer.keyring.pop(lost)  # type: ignore[attr-defined]
    maintainer.rotate("timestamp", add=[new.public_key], remove=[lost])
    maintainer.layout.metadata("timestamp.json").write_bytes(before)  # as if it was killed before
    with pytest.raises(MetadataError):
        maintainer.read("prod")
    maintainer.renew()
    assert maintainer.read("prod").sequence == 1


def test_keys_that_must_not_go(maintainer: Maintainer) -> None:
    old = maintainer.key("prod").public_key.keyid
    with pytest.raises(ImageError, match="0 would be left, and 1 must sign"):
        maintainer.rotate("prod", remove=[old])
    with pytest.raises(ImageError, match="1 would be left, and 2 must sign"):
        maintainer.rotate("root", remove=[maintainer.key("root-1").public_key.keyid])
    with pytest.raises(ImageError, match="it has no such key"):
        maintainer.rotate("prod", remove=["feed"])
    with pytest.raises(ImageError, match="it has no such key"):
        maintainer.rotate("prod", remove=[""])


def test_the_keys_of_a_channel_cannot_change_keys(maintainer: Maintainer) -> None:
    new = add_key(maintainer, "new")
    keys = only(maintainer.key("prod"), maintainer.key("snapshot"), maintainer.key("timestamp"))
    with pytest.raises(KeysMissingError):
        with hold_store(maintainer.layout, "a test"):
            from image.channel.commit import commit
            from image.channel.keys import rotate

            repository = maintainer.open()
            change = rotate(repository, "prod", maintainer.now, add=[new.public_key])
            commit(repository, change, keys, maintainer.now)


def two_hands(maintainer: Maintainer) -> CryptoSigner:
    """Demand a second key for prod, and return it."""
    second = add_key(maintainer, "second")
    maintainer.rotate("prod", add=[second.public_key], threshold=2)
    return second


def test_two_people_publish_one_after_the_other(maintainer: Maintainer) -> None:
    second = two_hands(maintainer)
    maintainer.add("1.0")
    first = only(*(maintainer.key(name) for name in ("prod", "snapshot", "timestamp")))
    make = lambda it: publish(it, "prod", "1.0", maintainer.reason())  # noqa: E731
    with pytest.raises(KeysMissingError, match="1 of 2 signatures of prod"):
        maintainer.change(make, first)
    assert maintainer.read("prod").release == ""
    with hold_store(maintainer.layout, "a test"):
        collect(maintainer.open(), keep=0)  # what waits is not garbage
    with pytest.raises(ImageError, match="another change waits"):
        maintainer.change(make, first)
    with hold_store(maintainer.layout, "a test"):
        repository = maintainer.open()
        change = load_staged(maintainer.layout)
        assert change is not None
        assert list(describe_change(repository, change)) == ["prod: nothing -> 1.0"]
        with pytest.raises(KeysMissingError, match="of snapshot"):
            sign_staged(repository, only(second), maintainer.now)
        assert maintainer.read("prod").release == ""
        sign_staged(repository, first, maintainer.now)
    assert maintainer.read("prod").release == "1.0"
    assert load_staged(maintainer.layout) is None


def test_a_change_that_waits_is_shown_as_it_is(maintainer: Maintainer) -> None:
    """What the first signer calls it is not what others sign."""
    two_hands(maintainer)
    maintainer.publish("dev", "1.0")
    maintainer.add("1.1", debug=True)
    with pytest.raises(KeysMissingError):
        maintainer.change(
            lambda it: publish(it, "prod", "1.0", maintainer.reason()),
            only(maintainer.key("prod")),
        )
    place = maintainer.layout.top / STAGED
    value = json.loads(place.read_text())
    value["what"] = "nothing to see"
    history = value["files"]["prod"]["signed"]["targets"]["prod/history.jsonl"]
    history["custom"]["release"] = "6.66"
    place.write_text(json.dumps(value))
    repository, change = maintainer.open(), load_staged(maintainer.layout)
    assert change is not None
    assert list(describe_change(repository, change)) == ["prod: nothing -> 6.66"]
    with pytest.raises(ZosError):
        sign_staged(repository, maintainer.keyring, maintainer.now)
    assert maintainer.read("prod").release == ""


def test_a_change_that_was_overtaken_is_not_signed(maintainer: Maintainer) -> None:
    two_hands(maintainer)
    maintainer.add("1.0")
    make = lambda it: publish(it, "prod", "1.0", maintainer.reason())  # noqa: E731
    with pytest.raises(KeysMissingError):
        maintainer.change(make, only(maintainer.key("prod")))
    staged = (maintainer.layout.top / STAGED).read_bytes()
    drop_staged(maintainer.layout)
    maintainer.renew("prod")
    (maintainer.layout.top / STAGED).write_bytes(staged)
    with pytest.raises(ImageError, match="has changed since"):
        sign_staged(maintainer.open(), maintainer.keyring, maintainer.now)
    maintainer.change(make)  # what was overtaken does not block
    assert load_staged(maintainer.layout) is None


@pytest.mark.parametrize("data", [b"", b"{}", b'{"what": "x", "files": {"prod": {}}}', b"\xff"])
def test_a_waiting_change_that_cannot_be_read(maintainer: Maintainer, data: bytes) -> None:
    (maintainer.layout.top / STAGED).write_bytes(data)
    with pytest.raises(ImageError, match="cannot read the change"):
        load_staged(maintainer.layout)


def test_key_files_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "a.pem"
    signer = make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_file(path).public_key == signer.public_key
    with pytest.raises(ImageError, match="exists already"):
        make_key(path)
    path.chmod(0o640)
    with pytest.raises(ImageError, match="others than its owner") as caught:
        load_file(path)
    assert caught.value.hint == f"chmod 600 {path}"


def test_public_keys_are_passed_on(tmp_path: Path) -> None:
    signer = make_key(tmp_path / "a.pem")
    assert load_public(str(tmp_path / "a.pub")) == signer.public_key
    assert load_public(str(tmp_path / "a.pem")) == signer.public_key
    assert json.loads(public_text(signer.public_key))["scheme"] == "ed25519"
    (tmp_path / "bad.pub").write_text("{}")
    with pytest.raises(ImageError, match="no public key"):
        load_public(str(tmp_path / "bad.pub"))


def test_encrypted_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOS_KEY_PASSPHRASE", "correct horse")
    signer = make_key(tmp_path / "a.pem", is_encrypted=True)
    assert b"ENCRYPTED" in (tmp_path / "a.pem").read_bytes()
    assert load_file(tmp_path / "a.pem").public_key == signer.public_key
    monkeypatch.setenv("ZOS_KEY_PASSPHRASE", "wrong")
    with pytest.raises(ImageError, match="the passphrase is wrong"):
        load_file(tmp_path / "a.pem")
    monkeypatch.delenv("ZOS_KEY_PASSPHRASE")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ImageError, match="there is no terminal"):
        load_file(tmp_path / "a.pem")


def test_what_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("hello")
    (tmp_path / "a.pem").chmod(0o600)
    with pytest.raises(ImageError, match="no private key"):
        load_keyring([str(tmp_path)])
    with pytest.raises(ImageError, match="cannot read the key"):
        load_keyring([str(tmp_path / "missing.pem")])


def test_the_uri_of_a_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PYKCS11LIB", raising=False)
    about = parse_uri("pkcs11:token=My%20tok%C3%A9n;id=%01%02?module-path=/usr/lib/c++.so")
    assert (about["token"], about["id"]) == ("My tok\u00e9n", "\x01\x02")
    assert about["module-path"] == "/usr/lib/c++.so"
    for bad in ("pkcs11:", "pkcs11:token=a?module-path=x", "pkcs11:token=a;id=%02?pin-value=77"):
        with pytest.raises(ImageError, match="lacks token, id or module-path") as caught:
            parse_uri(bad)
        assert "77" not in caught.value.message
    (tmp_path / "pin").write_text("1234\n")
    (tmp_path / "pin").chmod(0o600)
    assert read_pin({"token": "a", "pin-source": f"file:{tmp_path / 'pin'}"}) == "1234"
    assert read_pin({"token": "a", "pin-value": "5678"}) == "5678"
    monkeypatch.setenv("ZOS_PKCS11_PIN", "9999")
    assert read_pin({"token": "a"}) == "9999"


def test_a_killed_init_is_run_again(tmp_path: Path) -> None:
    maintainer = Maintainer.begin(tmp_path)
    maintainer.layout.metadata("timestamp.json").unlink()
    again = Maintainer.begin(tmp_path)
    assert again.read("prod").sequence == 1
    assert list(make_keys(tmp_path / "keys", is_encrypted=False)) == list(ROLES)
    assert open_repository(again.layout, again.root).root.signed.version == 1
