"""Credentials from Docker's config.json, and from helpers that are real programs."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flist.oci.errors import ImageError
from flist.oci.source import login
from flist.oci.source.auth import Credentials
from flist.oci.source.login import find_login
from flist.oci.source.reference import parse_reference
from tests.helpers.flist.mount import rfs
from tests.helpers.flist.registry import (
    PASSWORD,
    USER,
    build_image,
    make_layer,
    member,
    push,
    running_registry,
)

PAIR = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
HELPER = """#!/bin/sh
[ "$1" = get ] || exit 3
read -r host || [ -n "$host" ]
echo "$host" >> {log}
case "$host" in
{host}) echo '{{"ServerURL": "x", "Username": "{user}", "Secret": "{secret}"}}';;
*) echo "credentials not found in native keychain"; exit 1;;
esac
"""


@pytest.fixture(name="config")
def make_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of config.json; helpers are in the same folder."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "config.json"


@pytest.fixture(scope="module", name="private")
def run_private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a registry that demands a user and a password."""
    with running_registry(tmp_path_factory.mktemp("r") / "private", is_private=True) as host:
        push(host, "farm/secret", "1", build_image([make_layer(member("text", b"hello"))]))
        yield host


def write_helper(config: Path, name: str, text: str) -> None:
    """Write a helper program."""
    path = config.parent / f"docker-credential-{name}"
    path.write_text(text)
    path.chmod(0o755)


def helper_text(config: Path, host: str, user: str = USER, secret: str = PASSWORD) -> str:
    """Return the text of a helper that knows one host."""
    return HELPER.format(log=config.parent / "log", host=host, user=user, secret=secret)


def test_a_private_registry(config: Path, private: str, tmp_path: Path) -> None:
    words = ["docker", "-i", f"{private}/farm/secret:1", "--insecure", "-s", f"dir://{tmp_path}/b"]
    write_helper(config, "test", helper_text(config, private))
    for content in (
        {"auths": {private: {"auth": PAIR}}},
        {"auths": {f"https://{private}": {"auth": PAIR}, "other": {"auth": "?"}}},
        {"credHelpers": {private: "test"}},
        {"credsStore": "test", "auths": {private: {}}},
    ):
        config.write_text(json.dumps(content))
        rfs(*words, "-m", tmp_path / "a.fl")
        assert PASSWORD.encode() not in (tmp_path / "a.fl").read_bytes()
    refused = rfs(*words, "-m", tmp_path / "b.fl", "--no-docker-config", check=False)
    assert "wants credentials" in refused.stderr or "cannot pull" in refused.stderr
    assert (config.parent / "log").read_text().splitlines() == [private] * 2


def find(config: Path, name: str, content: object) -> Credentials:
    """Return the credentials that are found for an image."""
    config.write_text(content if isinstance(content, str) else json.dumps(content))
    return find_login(parse_reference(name))


def test_only_entries_of_the_registry_are_used(config: Path) -> None:
    write_helper(config, "test", helper_text(config, "ghcr.io", "<token>", "an-identity-token"))
    everywhere: dict[str, Any] = {
        "auths": {"ghcr.io.evil": {"auth": PAIR}, "cr.io": {"auth": PAIR}}
    }
    assert find(config, "ghcr.io/a/b", everywhere) == Credentials()
    assert find(config, "ghcr.io/a/b", {}) == Credentials()
    stored = {"credsStore": "test"}
    assert find(config, "ghcr.io/a/b", stored).identity_token == "an-identity-token"
    assert (
        find(config, "other.io/a/b", stored) == Credentials()
    )  # the helper has none for this host
    hub = {"auths": {"https://index.docker.io/v1/": {"auth": PAIR}}}
    assert find(config, "redis", hub) == Credentials(USER, PASSWORD)
    token = {"auths": {"h.io": {"identitytoken": "t"}}}
    assert find(config, "h.io/x", token) == Credentials(identity_token="t")
    config.unlink()
    assert find_login(parse_reference("redis")) == Credentials()


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{", "[" * 100_000, '"x"', {"auths": [1]}, {"credHelpers": "x"},
        {"credHelpers": {"h.io": "../../bin/sh"}}, {"credsStore": "a b"}, {"credsStore": 1},
        {"auths": {"h.io": {"auth": "?"}}}, {"auths": {"h.io": {"auth": 5}}},
        {"auths": {"h.io": {"identitytoken": "a\nb"}}}, {"credsStore": "missing"},
        {"credsStore": "broken"}, {"credsStore": "empty"}, {"credsStore": "wrong"},
    ],
)  # fmt: skip
def test_invalid_configurations_are_reported(config: Path, content: object) -> None:
    write_helper(config, "broken", "#!/bin/sh\nexit 4\n")
    write_helper(config, "empty", "#!/bin/sh\n")
    write_helper(config, "wrong", '#!/bin/sh\necho \'{"Username": 1, "Secret": []}\'\n')
    with pytest.raises(ImageError) as caught:
        find(config, "h.io/x", content)
    assert caught.value.hint == "--no-docker-config goes without it"


def test_a_helper_that_hangs_is_killed(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "HELPER_WITHIN_S", 0.3)
    write_helper(config, "slow", "#!/bin/sh\nsleep 60\n")
    with pytest.raises(ImageError, match="did not end within"):
        find(config, "h.io/x", {"credsStore": "slow"})
