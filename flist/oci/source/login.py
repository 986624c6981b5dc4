"""Credentials stored by Docker or podman: `config.json`, and the helpers that it names.

    {"auths": {HOST: {"auth": base64 of USER:PASSWORD, "identitytoken": T}},
     "credHelpers": {HOST: NAME}, "credsStore": NAME}

A helper is the program `docker-credential-NAME get`: it reads the host from stdin and writes JSON
with Username and Secret to stdout; the user <token> stands for an identity token. Only entries for
the image's own registry are used. Source: Docker's manual and its credential helper protocol.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.run import CommandError, run
from flist.oci.errors import ImageError
from flist.oci.source.auth import Credentials, read_credentials
from flist.oci.source.reference import HUB_ALIASES, Reference

MAX_CONFIG_BYTES = 4 << 20
HELPER_WITHIN_S = 30.0
HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HUB_ADDRESS = "https://index.docker.io/v1/"
TOKEN_USER = "<token>"  # noqa: S105 a name
HINT = "--no-docker-config goes without it"
NOT_FOUND = "credentials not found"


def find_login(reference: Reference) -> Credentials:
    """Return the stored credentials for the image's registry, empty if there are none."""
    path = config_path()
    config = read_config(path)
    hosts = addresses(reference)
    helpers = section(config, "credHelpers", path)
    for name in [helpers[host] for host in hosts if host in helpers]:
        return ask_helper(name, hosts[0], path)
    store = config.get("credsStore")
    found = ask_helper(store, hosts[0], path) if store else Credentials()
    return found if found != Credentials() else read_auths(config, hosts, path)


def config_path() -> Path:
    """Return the path of the file."""
    folder = os.environ.get("DOCKER_CONFIG")
    return Path(folder or Path.home() / ".docker") / "config.json"


def addresses(reference: Reference) -> list[str]:
    """Return the names that the registry may have in the file, the usual one first."""
    if reference.registry in HUB_ALIASES:
        return [HUB_ADDRESS, "index.docker.io", "docker.io", "registry-1.docker.io"]
    host = reference.registry
    return [host, f"https://{host}", f"http://{host}", f"https://{host}/v2/", f"https://{host}/v1/"]


def read_config(path: Path) -> dict[str, Any]:
    """Return the file's content, empty if there is no file; raises `ImageError`."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}", hint=HINT) from error
    try:
        value = json.loads(data) if len(data) <= MAX_CONFIG_BYTES else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ImageError(f"cannot read {path}: it is not a JSON object", hint=HINT)
    return value


def section(config: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    """Return one object of the file."""
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise ImageError(f"cannot read {path}: {key} is not an object", hint=HINT)
    return value


def read_auths(config: dict[str, Any], hosts: list[str], path: Path) -> Credentials:
    """Return the credentials in the file itself, empty if there are none."""
    auths = section(config, "auths", path)
    for entry in [auths[host] for host in hosts if host in auths]:
        fields = entry if isinstance(entry, dict) else {}
        words = {key: fields.get(key) or "" for key in ("auth", "identitytoken", "registrytoken")}
        if not any(words.values()):
            continue  # an empty entry means that a helper has the credentials
        return make_credentials(
            str(path), auth=words["auth"], identity_token=words["identitytoken"],
            registry_token=words["registrytoken"],
        )  # fmt: skip
    return Credentials()


def make_credentials(place: str, **words: object) -> Credentials:
    """Return credentials out of what `place` says."""
    if not all(isinstance(word, str) for word in words.values()):
        raise ImageError(f"cannot use the credentials of {place}: they are not text", hint=HINT)
    texts = {"username": "", "password": "", "auth": "", "identity_token": "", "registry_token": ""}
    texts |= {key: str(word) for key, word in words.items()}
    try:
        return read_credentials(**texts)
    except UsageError as error:
        raise ImageError(f"cannot use the credentials of {place}", hint=HINT) from error


def ask_helper(name: object, host: str, path: Path) -> Credentials:
    """Return a helper's credentials for a registry, empty if it says that it has none."""
    if not isinstance(name, str) or not HELPER.fullmatch(name):
        raise ImageError(f"cannot read {path}: a helper has no proper name", hint=HINT)
    program = f"docker-credential-{name}"
    try:
        answer = run([program, "get"], timeout_s=HELPER_WITHIN_S, stdin=host.encode())
    except CommandError as error:
        if NOT_FOUND in error.message:
            return Credentials()
        raise ImageError(
            f"cannot get credentials for {host}: {error.message}", hint=HINT
        ) from error
    try:
        value = json.loads(answer)
        user, secret = value["Username"], value["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ImageError(
            f"cannot get credentials for {host}: {program} gave no Username and Secret", hint=HINT
        ) from error
    if user == TOKEN_USER:
        return make_credentials(program, identity_token=secret)
    return make_credentials(program, username=user, password=secret)
