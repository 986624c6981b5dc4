"""The archive of zos-core: all that its daemons import, and nothing that nobody asked for."""

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from common.debian.archive import open_archive
from common.debian.fetch import fetch_locked
from image import cli
from image.core.build import build_core
from image.core.manifest import NAME, Core
from image.errors import ImageError
from image.formats.cpio import Member
from image.lock.model import ReleaseLock
from image.lock.wheels import fetch_wheels
from image.parts.origins import Origins
from image.parts.project import describe_os
from image.parts.system import python_libraries
from image.recipe.kind import CORE
from image.recipe.load import load_recipe
from image.release import sbom
from image.release.audit import Auditor, read_names
from image.release.build import build_release
from image.release.inputs import gather_inputs, unpack_all_wheels
from tests.functional.image.conftest import FAST, Frozen
from tests.functional.image.test_audit import PEM, change
from tests.functional.image.test_python import import_all, names_of, unpack

pytestmark = pytest.mark.timeout(900)  # the first build on a machine fetches packages


@pytest.fixture
def tree(core_members: dict[str, Member], tmp_path: Path) -> Path:
    unpack(core_members, tmp_path / "root")
    return tmp_path / "root"


def test_no_module_that_a_daemon_imports_is_missing(
    core_members: dict[str, Member], core_lock: ReleaseLock, frozen: Frozen, tree: Path
) -> None:
    there = names_of(core_members)
    own = {name for name in there if name.partition(".")[0] in CORE.project}
    sources = names_of(frozen["image.parts.project.collect_sources"]["core"])
    assert {name for name in sources if name.startswith("core.")} <= own
    alone, _ = import_all(tree, own, ())
    inputs = gather_inputs(load_recipe("core"), core_lock, FAST, print)
    with open_archive(inputs.packages) as archive:
        everything = python_libraries(archive, unpack_all_wheels(inputs))
    for path, file in everything.files():
        if names_of([path]) - there and not (tree / path).exists():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(file.content)
    with_all, loaded = import_all(tree, own, ())
    assert alone == with_all == {}
    known = names_of(path for path, _ in everything.files())
    assert (loaded & known) - there == set()


def test_every_module_can_be_imported(core_members: dict[str, Member], tree: Path) -> None:
    there = {name for name in names_of(core_members) if not name.startswith(UNFIT)}
    failed, _ = import_all(tree, there, ())
    assert failed == {}


# These need libraries that a node does not have; their callers say so.
UNFIT = ("urllib3.contrib.socks", "urllib3.http2")


@pytest.fixture(scope="module")
def auditor(caches: Path, core: Core, core_lock: ReleaseLock) -> Iterator[Auditor]:
    """Return the auditor of zos-core."""
    recipe = load_recipe("core")
    places = fetch_wheels(core_lock.wheels, "amd64")
    with open_archive(fetch_locked(core_lock.debian)) as archive:
        origins = Origins(archive, dict(zip(core_lock.wheels, places, strict=True)))
        about = describe_os(recipe, *read_names(core.folder, NAME))
        yield Auditor(recipe, about, archive, origins)


def test_it_passes_the_audit(auditor: Auditor, core_members: dict[str, Member]) -> None:
    assert auditor.audit(core_members.values()) == []


@pytest.mark.parametrize(
    ("path", "changes", "why"),
    [
        ("usr/bin/tpm2", {"mode": stat.S_IFREG | 0o4755}, "set-user-ID"),
        ("usr/bin/zos", {"mode": stat.S_IFREG | 0o777}, "can be written by anybody"),
        ("usr/bin/sh", {}, "a way into a node"),
        ("etc/shadow", {}, "a way into a node"),
        ("usr/lib/key.pem", {"content": PEM}, "contains a private key"),
        ("etc/passwd", {"content": b"evil::0:0::/:/bin/sh"}, "or was changed"),
        ("usr/lib/zero-os-debug/agent.py", {}, "a way into a node"),
        ("etc/zinit/shell.yaml", {"content": b"exec: x"}, "is from no package"),
    ],
)
def test_what_nobody_asked_for_is_found(
    auditor: Auditor,
    core_members: dict[str, Member],
    path: str,
    changes: dict[str, object],
    why: str,
) -> None:
    found = auditor.audit(change(core_members, path, **changes))
    assert {finding.path for finding in found} == {path}
    assert why in "; ".join(finding.why for finding in found)


def test_the_command_knows_what_is_in_the_folder(
    core: Core,
    core_lock: ReleaseLock,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("image.lock.model.load_lock", lambda _: core_lock)
    assert cli.main(["audit", str(core.folder)], "zos image") == 0
    assert capsys.readouterr().out == ""


def test_it_has_no_way_in(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", str(core.folder), "--ways"], "zos image") == 0
    shown = capsys.readouterr().out.splitlines()
    assert {"agent: none", "shell: none", "login: none", "account: none"} < set(shown)
    assert all(line.endswith(": none") for line in shown)


def test_the_daemons_have_no_capability_from_a_file(core_members: dict[str, Member]) -> None:
    owners = {(member.uid, member.gid) for member in core_members.values()}
    assert owners == {(0, 0)}
    assert not [m.name for m in core_members.values() if m.mode & (stat.S_ISUID | stat.S_ISGID)]


def test_spdx_tools_accept_the_sbom(core: Core, core_lock: ReleaseLock) -> None:
    document = parse_file(str(core.folder / sbom.NAME))
    assert validate_full_spdx_document(document) == []
    found = {package.name: package.version for package in document.packages}
    debian = {package.name: package.version for package in core_lock.debian.packages}
    for name in ("libc6", "libseccomp2", "python3.13-minimal", "tpm2-tools"):
        assert found[name] == debian[name]
    assert not {"coreutils", "dpkg", "passwd", "perl-base", "zos-core"} & set(found)


def test_the_same_inputs_are_not_built_again(core: Core) -> None:
    assert build_core(core.folder, progress=print) == replace(core, reused=True)
    manifest = json.loads((core.folder / NAME).read_bytes())
    assert (manifest["version"], manifest["locked"]) == (core.version, True)
    assert "core.tar" in manifest["files"]


def test_a_damaged_archive_is_built_again(core: Core, tmp_path: Path) -> None:
    for name in (NAME, *core.files):
        (tmp_path / name).write_bytes((core.folder / name).read_bytes())
    (tmp_path / "core.tar").write_bytes(b"")
    again = build_core(tmp_path, progress=print)
    assert not again.reused
    assert again.tar.read_bytes() == core.tar.read_bytes()


def test_profiles_are_of_one_kind(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="the profile virt: it is one of a release"):
        build_core(tmp_path, profile="virt", progress=print)
    with pytest.raises(ImageError, match="the profile core: it is one of a core"):
        build_release(tmp_path, profile="core", progress=print)
