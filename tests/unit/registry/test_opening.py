"""A registry is made whole or not at all, and its database belongs to one key and one name."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from registry.errors import SettingsError
from registry.views import registry as views
from tests.helpers.registry.served import zos
from tests.helpers.registry.site import Site, make_site


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--enrolment-key", "missing"), "cannot read missing"),
        (("--witness", "x"), "x"),
        (("--key", "missing"), "cannot read missing"),
    ],
)
def test_an_init_that_failed_can_be_repeated(
    tmp_path: Path, words: tuple[str, str], text: str
) -> None:
    state = tmp_path / "state"
    assert text in zos("init", state, *words, is_good=False)
    assert not (state / "registry.db").exists()
    assert zos("init", state).startswith("zero-os-registry+")
    assert "there is a registry in" in zos("init", state, is_good=False)


def test_an_init_that_was_interrupted_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "a%20?b"
    with monkeypatch.context() as patch:
        patch.setattr(views, "begin_log", interrupt)
        assert "interrupted" in zos("init", state, is_good=False)
    assert [path.name for path in state.glob("registry.db*")] == []
    assert zos("init", state).startswith("zero-os-registry+")
    assert [path.name for path in state.glob("registry.db*")] == ["registry.db"]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_database_is_of_one_key_and_one_origin(tmp_path: Path) -> None:
    state, other = tmp_path / "state", tmp_path / "other.key"
    zos("init", state)
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    other.write_bytes(Ed25519PrivateKey.generate().private_bytes(*form))
    config = tmp_path / "registry.toml"
    config.write_text(f"key = {json.dumps(str(other))}\n")
    refused = zos("check", "--state", state, "--config", config, is_good=False)
    assert "the log of another registry: its key is " in refused
    assert "use the key that the log was begun with" in refused
    refused = zos("serve", state, "--origin", "example.org", is_good=False)
    assert "its origin is zero-os-registry, and the settings' origin is example.org" in refused
    assert zos("check", "--state", state).startswith("0 entries")


def test_a_second_server_needs_the_same_origin() -> None:
    site = make_site()
    site.add_farm()
    database = site.registry.database
    assert second(site).get("/api/v1/log/head")["size"] == 1
    with pytest.raises(SettingsError, match="its origin is zero-os-registry"):
        make_site(database=database, origin="other")


def second(site: Site) -> Site:
    """Return another registry on the same database."""
    return make_site(database=site.registry.database)
