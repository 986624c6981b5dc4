"""Which wheels a node needs, and that only the locked file of each is used."""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from common.debian.pool import PoolError, cached_path
from image.errors import ImageError
from image.lock import wheels
from image.lock.dependencies import environment, needed_names
from image.lock.model import LockedWheel, find_request, load_lock
from image.lock.wheels import constraints, fetch_wheels, lock_wheel, wanted_wheel

NODE = environment("amd64")


def metadata(*needs: str) -> str:
    return "Metadata-Version: 2.1\n" + "".join(f"Requires-Dist: {need}\n" for need in needs)


def test_dependencies_are_those_of_a_nodes_python_whichever_runs_this() -> None:
    found = {
        "a-b": metadata(
            "c>=1; python_version < '3.13'",
            "d; python_version >= '3.13' and platform_machine == 'x86_64'",
            "e; extra == 'more'",
            "f; sys_platform == 'win32'",
        ),
        "c": metadata(),
        "d": metadata("A.B[more]"),
        "e": metadata(),
        "f": metadata(),
    }
    assert needed_names(["A_b>=1"], found, NODE) == {"a-b", "d", "e"}
    assert needed_names(["a.b"], found, environment("arm64")) == {"a-b"}
    del found["e"]
    with pytest.raises(ImageError, match="a node needs e") as caught:
        needed_names(["a-b"], found, NODE)
    assert caught.value.hint == "run it with Python 3.13"


def test_versions_are_those_of_the_developers_lock() -> None:
    lines = list(constraints())
    assert "".join(lines).count("--hash") == 0
    assert [line for line in lines if line.startswith("urllib3==")] != []


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LockedWheel:
    """Return a locked wheel, which is in the index as long as its file is."""
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "index" / "X_y-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.py", "")

    def run_pip(call: Sequence[object], _what: str) -> None:
        folder = Path(str(call[call.index("-d") + 1]))
        folder.mkdir()
        for file in path.parent.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())

    monkeypatch.setattr(wheels, "run_pip", run_pip)
    return lock_wheel(path)


def test_a_wheel_is_fetched_once_and_verified_each_time(
    wheel: LockedWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (wheel.name, wheel.version) == ("x-y", "1.0")
    (place,) = fetch_wheels([wheel], "amd64")
    good = place.read_bytes()
    assert hashlib.sha256(good).hexdigest() == wheel.sha256
    place.write_bytes(good[:-1] + b"X")  # repacked in the cache
    (again,) = fetch_wheels([wheel], "amd64")
    assert again.read_bytes() == good
    monkeypatch.setattr(wheels, "run_pip", lambda *_: pytest.fail("it is in the cache"))
    assert fetch_wheels([wheel], "amd64") == [again]


def test_another_file_than_the_locked_one_is_refused(wheel: LockedWheel, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "index" / wheel.filename, "a") as archive:
        archive.writestr("other.py", "")
    with pytest.raises(PoolError, match=r"for x-y 1\.0: the lock wants \d+ bytes"):
        fetch_wheels([wheel], "amd64")
    assert not cached_path(wanted_wheel(wheel)).exists()
    (tmp_path / "index" / wheel.filename).unlink()
    with pytest.raises(ImageError, match="pip has not found it"):
        fetch_wheels([wheel], "amd64")


def test_a_mirrors_folder_is_used_alone(
    wheel: LockedWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "run_pip", lambda *_: pytest.fail("no network"))
    folder = tmp_path / "mirror"
    with pytest.raises(PoolError, match=r"x-y 1\.0 is locked with SHA-256"):
        fetch_wheels([wheel], "amd64", folder)
    (folder / "wheels").mkdir(parents=True)
    (tmp_path / "index" / wheel.filename).rename(folder / "wheels" / wheel.filename)
    assert fetch_wheels([wheel], "amd64", folder) == [folder / "wheels" / wheel.filename]


def test_nodes_run_the_versions_that_the_project_is_tested_with() -> None:
    """If this fails after a change of requirements.lock: zos image update."""
    tested = {line.partition(" ")[0].strip().lower() for line in constraints()}
    locked = {f"{w.name}=={w.version}" for w in load_lock(find_request("virt")).wheels}
    assert locked - tested == set()
