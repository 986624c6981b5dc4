"""A flist that is replaced right after its signature was checked: what was checked is used."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flist import cli
from flist.errors import SignatureError
from flist.format import sqlitefile
from flist.format.opening import open_flist
from flist.format.signing import trust
from flist.mount.reader import load_reader
from flist.store.sources import Sources


@pytest.fixture(name="meta")
def make_meta(tmp_path: Path) -> Path:
    """Pack a tree with the file `good` as a.fl and sign it, and one with `evil` as other.fl, whose
    blocks are gone."""
    for name, file in (("a", "good"), ("other", "evil")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(file)
        rfs(
            "pack",
            "-m",
            tmp_path / f"{name}.fl",
            "-s",
            f"dir://{tmp_path}/of-{name}",
            tmp_path / name,
        )
    shutil.rmtree(tmp_path / "of-other")
    rfs("keygen", tmp_path / "key")
    rfs("sign", "-m", tmp_path / "a.fl", "-k", tmp_path / "key", "-n", "me/tree")
    return tmp_path / "a.fl"


def rfs(*words: str | Path) -> int:
    """Run `rfs WORDS` in this process."""
    return cli.main(list(map(str, words)), "rfs")


@pytest.fixture(name="swap")
def make_swap(meta: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Replace the flist when its signature has been found good."""
    demand = trust.demand_signature

    def demand_and_swap(*words: object) -> str:
        name = demand(*words)  # type: ignore[arg-type]
        shutil.copyfile(meta.parent / "other.fl", meta.parent / "new.fl")
        (meta.parent / "new.fl").replace(meta)
        return name

    monkeypatch.setattr(trust, "demand_signature", demand_and_swap)
    return demand_and_swap


@pytest.fixture(name="key")
def make_key(meta: Path, swap: object) -> list[str | Path]:
    """Return the options of every command."""
    return ["-m", meta, "--key", meta.parent / "key.pub"]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_unpack(meta: Path, key: list[str | Path], processes: str) -> None:
    out = meta.parent / "out"
    assert rfs("unpack", *key, "--processes", processes, out) == 0
    assert [path.name for path in out.iterdir()] == ["good"]


@pytest.mark.parametrize("command", ["verify", "repair"])
def test_verify_and_repair(key: list[str | Path], command: str) -> None:
    """No block of the other flist is there."""
    assert rfs(command, *key) == 0


def test_clone_does_not_change_another_flist(meta: Path, key: list[str | Path]) -> None:
    with pytest.raises(SignatureError):
        rfs("clone", *key, "-s", f"dir://{meta.parent}/copy")
    assert meta.read_bytes() == (meta.parent / "other.fl").read_bytes()


@pytest.mark.parametrize("limit", [0, sqlitefile.IN_MEMORY_BYTES])
def test_mount(
    meta: Path, swap: Callable[..., str], monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(sqlitefile, "IN_MEMORY_BYTES", limit)

    def check(path: Path, stream: object) -> None:
        swap(path, meta.parent / "key.pub", None, None, stream)

    reader = load_reader(meta, Sources(), check)
    assert list(reader.tree.entries(1)) == [b"good"]
    reader.close()
    with pytest.raises(SignatureError):
        open_flist(meta, check)
