"""The Python of a release: nothing that a node imports is missing, and there is one OpenSSL.

The release's own Python runs here, first with the modules of the release, then with all that there
are. Both must import the same.
"""

import json
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from common.debian.archive import open_archive
from common.debian.programs import LIBRARY_FOLDER, run_program
from image.formats.cpio import Member
from image.lock.model import ReleaseLock
from image.parts.reach import module_of
from image.parts.system import python_libraries
from image.recipe.load import load_recipe
from image.recipe.plan import PROJECT, PYTHON, STDLIB
from image.recipe.python import NODE_PACKAGES, ROOTS
from image.release.inputs import gather_inputs, unpack_all_wheels
from tests.functional.image.conftest import FAST

pytestmark = pytest.mark.timeout(900)

# stdin is a JSON list of modules; the result has those that failed, and all that were loaded.
IMPORTER = """
import importlib, json, sys
sys.path.append(sys.argv[1])
names = json.load(sys.stdin)
for name in sys.argv[2:]:
    importlib.import_module(name)
failed = {}
for name in names:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = repr(error)
json.dump([failed, sorted(sys.modules)], sys.stdout)
"""


def names_of(paths: Iterable[str]) -> set[str]:
    """Return the modules at `paths`, compiled or not."""
    sources = (path[:-1] if path.endswith(".pyc") else path for path in paths)
    found = (module_of(path, ROOTS) for path in sources if "__pycache__" not in path)
    return {known[0] for known in found if known}


def unpack(members: Mapping[str, Member], folder: Path) -> None:
    """Write the files and links of a release that its Python needs."""
    for name, member in members.items():
        if not name.startswith(("usr/lib/", "usr/bin/")) or name.startswith("usr/lib/modules/"):
            continue
        path = folder / name
        if stat.S_ISDIR(member.mode):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISLNK(member.mode) and "/" not in member.content.decode():
            path.symlink_to(member.content.decode())
        elif stat.S_ISREG(member.mode):
            path.write_bytes(member.content)
            path.chmod(0o755)


FIRST = ("node.network.netlink",)  # it loads pyroute2 without the package itself


def import_all(
    folder: Path, names: Iterable[str], first: Iterable[str] = FIRST
) -> tuple[dict[str, str], set[str]]:
    """Import `names` with the Python in `folder`; return the failures and all loaded modules."""
    flags = ["-S", "-s", "-P", "-B", "-c", IMPORTER, str(folder / PROJECT), *first]
    # Without the variable OpenSSL would load its modules from this machine.
    modules = folder / LIBRARY_FOLDER / "ossl-modules"
    env = {"PYTHONHOME": str(folder / "usr"), "OPENSSL_MODULES": str(modules)}
    stdin = json.dumps(sorted(names)).encode()
    failed, loaded = json.loads(run_program(folder, PYTHON, flags, env=env, stdin=stdin))
    return failed, set(loaded)


@pytest.fixture
def tree(members: dict[str, Member], tmp_path: Path) -> Path:
    unpack(members, tmp_path / "root")
    return tmp_path / "root"


def test_no_module_that_a_node_imports_is_missing(
    members: dict[str, Member], lock: ReleaseLock, tree: Path
) -> None:
    there = names_of(members)
    own = {name for name in there if name.partition(".")[0] in NODE_PACKAGES}
    assert {"zinit.boot", "node.bringup", "flist.store.s3", "flist.commands.docker"} <= own
    alone, _ = import_all(tree, own)
    inputs = gather_inputs(load_recipe("virt"), lock, FAST, print)
    with open_archive(inputs.packages) as archive:
        everything = python_libraries(archive, unpack_all_wheels(inputs))
    for path, file in everything.files():
        if names_of([path]) - there and not (tree / path).exists():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(file.content)
    with_all, loaded = import_all(tree, own)
    assert alone == with_all
    assert {name for name in alone if name.partition(".")[0] != "flist"} == set()
    known = names_of(path for path, _ in everything.files())
    assert (loaded & known) - there <= OPTIONAL


# `node.network.netlink` puts an empty module in its place.
OPTIONAL = {"pyroute2"}


def test_every_module_of_a_release_can_be_imported(members: dict[str, Member], tree: Path) -> None:
    there = {name for name in names_of(members) if not name.startswith(UNFIT)}
    failed, _ = import_all(tree, there)
    assert failed == {}


# These need libraries that a node does not have; their callers say so.
UNFIT = ("flist.mount.fuse.library", "flist.store.s3", "urllib3.contrib.socks", "urllib3.http2")


def test_one_openssl_and_one_zstandard(members: dict[str, Member]) -> None:
    assembled = b"CRYPTOGAMS by"  # in every build of OpenSSL's ciphers for x86-64; legacy.so is its
    found = [name for name, member in members.items() if assembled in member.content]
    assert [name.rpartition("/")[2] for name in found] == ["libcrypto.so.3", "legacy.so"]
    assert not [name for name in members if "psutil" in name or "fuse.so" in name]


def test_libraries_are_stripped_and_compiled(members: dict[str, Member]) -> None:
    below = (f"{STDLIB}/", f"{PROJECT}/yaml/", f"{PROJECT}/cryptography/")
    assert not [name for name in members if name.startswith(below) and name.endswith(".py")]
    assert b"Return the absolute value" not in members[f"{STDLIB}/operator.pyc"].content
