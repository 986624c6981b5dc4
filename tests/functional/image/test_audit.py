"""The audit of a finished image: nothing is in it that nobody asked for."""

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common.debian.archive import open_archive
from common.debian.fetch import fetch_locked
from image import cli
from image.formats.cpio import Member
from image.lock.model import ReleaseLock
from image.lock.wheels import fetch_wheels
from image.model import Release
from image.parts.origins import Origins
from image.parts.project import describe_os
from image.recipe.load import load_recipe
from image.release.audit import Auditor, read_names
from tests.functional.image.conftest import KEY

pytestmark = pytest.mark.timeout(900)  # the first build on a machine fetches packages
PEM = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAA\n"


@pytest.fixture(scope="module")
def auditor(caches: Path, release: Release, lock: ReleaseLock) -> Iterator[Auditor]:
    """Return the auditor of the release."""
    recipe = replace(load_recipe("virt"), keys=f"{KEY}\n")
    places = fetch_wheels(lock.wheels, "amd64")
    with open_archive(fetch_locked(lock.debian)) as archive:
        origins = Origins(archive, dict(zip(lock.wheels, places, strict=True)))
        about = describe_os(recipe, *read_names(release.folder))
        yield Auditor(recipe, about, archive, origins)


def test_a_release_passes(auditor: Auditor, members: dict[str, Member]) -> None:
    assert auditor.audit(members.values()) == []


def test_the_command(
    release: Release,
    lock: ReleaseLock,
    keys: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("image.lock.model.load_lock", lambda _: lock)
    call = ["audit", str(release.folder), "--flist-key", str(keys)]
    assert cli.main(call, "zos image") == 0
    assert capsys.readouterr().out == ""
    assert cli.main([*call[:2], "--json"], "zos image") == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert row["path"] == "etc/zero-os/keys/flist.pub"
    assert row["why"].startswith("is from no package")


def test_it_has_no_way_in(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", str(release.folder), "--ways"], "zos image") == 0
    shown = capsys.readouterr().out.splitlines()
    assert {"agent: none", "shell: none", "login: none", "account: none"} < set(shown)
    assert all(line.endswith(": none") for line in shown)


def change(members: dict[str, Member], path: str, **changes: object) -> list[Member]:
    """Return the members of an image in which one differs, or is new."""
    first = members.get(path, replace(members["etc/hosts"], name=path))
    return list({**members, path: replace(first, **changes)}.values())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "changes", "why"),
    [
        ("usr/bin/kmod", {"mode": stat.S_IFREG | 0o4755}, "set-user-ID"),
        ("usr/bin/kmod", {"mode": stat.S_IFREG | 0o777}, "can be written by anybody"),
        ("tmp", {"mode": stat.S_IFDIR | 0o777}, "can be written by anybody"),
        ("usr/bin/kmod", {"content": b"#!/bin/sh"}, "or was changed"),
        ("usr/bin/kmod", {"uid": 1000}, "belongs to 1000:0"),
        ("usr/bin/bash", {}, "a way into a node"),
        ("root/.ssh/authorized_keys", {}, "a way into a node"),
        ("etc/passwd", {"content": b"evil::0:0::/:/bin/sh"}, "or was changed"),
        ("etc/shadow", {}, "a way into a node"),
        ("etc/zero-os/keys/flist.pub", {"content": b"other"}, "or was changed"),
        ("etc/zero-os/keys/more.pub", {}, "is from no package"),
        ("etc/zinit/mine.yaml", {"content": b"exec: x"}, "is from no package"),
        ("etc/key.pem", {"content": PEM}, "contains a private key"),
        ("usr/lib/python3.13/os.pyc", {"content": b"x" * 99}, "or was changed"),
        ("usr/lib/zero-os/zinit/boot.py", {"content": b"x"}, "or was changed"),
        ("usr/lib/zero-os/yaml/extra.pyc", {}, "is from no package"),
        ("bin", {"content": b"tmp"}, "or was changed"),
        ("dev/null", {"device": (1, 1)}, "or was changed"),
        ("srv/empty", {"mode": stat.S_IFDIR | 0o755, "content": b""}, "is from no package"),
    ],
)
def test_what_nobody_asked_for_is_found(
    auditor: Auditor, members: dict[str, Member], path: str, changes: dict[str, object], why: str
) -> None:
    found = auditor.audit(change(members, path, **changes))
    assert {finding.path for finding in found} == {path}
    assert why in "; ".join(finding.why for finding in found)


def test_what_is_missing_is_found(auditor: Auditor, members: dict[str, Member]) -> None:
    rest = [member for name, member in members.items() if name != "etc/zero-os/lockdown"]
    assert [(f.path, f.why) for f in auditor.audit(rest)] == [
        ("etc/zero-os/lockdown", "is missing")
    ]
