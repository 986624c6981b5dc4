"""`zos hub init`: an empty hub, and one that takes what a plain folder holds."""

import hashlib
import io
import os
from pathlib import Path

import pytest

from common.errors import ZosError
from flist.format.signing.keys import generate_key, load_private_key
from flist.format.signing.sign import sign_flist
from flist.hub import cli
from flist.hub.commands import init as init_command
from flist.hub.library.checking import check_hub
from flist.hub.library.hub import open_hub
from flist.hub.settings import HubSettings
from flist.server.names import name_block, name_file
from flist.store.folder import FolderStore
from tests.helpers.flist.hub import LocalHub, make_flist, make_hub

PASSWORD = "a password: with: colons"


def init(root: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run `zos hub init` with an administrator's name and password."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    return cli.main(["init", str(root), "--admin", "chief", *words], "zos hub")


def put(root: Path, data: bytes) -> str:
    """Put a plain block; return its name."""
    FolderStore(root / "blocks").put(bytes.fromhex(name_block(data)), data)
    return name_block(data)


@pytest.fixture(name="root")
def make_folder(tmp_path: Path) -> Path:
    """Make a plain folder as the hub of earlier versions kept it."""
    root = tmp_path / "hub"
    (root / "flists" / "me").mkdir(parents=True)
    (root / "history" / "me" / "a.fl").mkdir(parents=True)
    generate_key(tmp_path / "key")
    for number, text in enumerate(("first", "second", "third")):
        data = make_flist(tmp_path, root, text)
        name = hashlib.sha256(data).hexdigest()
        path = root / "history" / "me" / "a.fl" / f"{name}.fl"
        beside = path.with_suffix(".sig")
        if text == "third":
            path, beside = root / "flists/me/a.fl", root / "flists/me/a.fl.sig"
        path.write_bytes(data)
        os.utime(path, (1000 + number, 1000 + number))
        if text != "first":
            beside.write_text(sign_flist(path, "me/a", load_private_key(tmp_path / "key")))
    files = root / "files"
    whole = (b"whole", b"file")
    names = [put(root, piece) for piece in whole]
    files.mkdir()
    name = hashlib.sha256(b"".join(whole)).hexdigest()
    (files / f"{name}.blocks").write_text("".join(f"{block}\n" for block in names))
    (files / name_file(names)).mkdir()
    for index, block in enumerate(names):
        (files / name_file(names) / str(index)).write_text(block)
    return root


def test_a_plain_folder_is_taken_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    published = (root / "flists/me/a.fl").read_bytes()
    assert init(root, monkeypatch) == 0
    hub = make_hub(root)
    assert all(path.read_bytes() == data for path, data in before.items())
    assert hub.send("GET", "/me/a.fl").body == published
    assert hub.send("GET", "/me/a.fl.sig").body == (root / "flists/me/a.fl.sig").read_bytes()
    rows = hub.get("/api/v1/fl/history/me/a.fl")["versions"]
    assert [row["is_signed"] for row in rows] == [True, True, False]
    assert [row["published"] for row in rows] == [1002, 1001, 1000]
    for name in (path.name for path in root.glob("blocks/*/*") if path in before):
        assert hub.send("GET", f"/blocks/{name}").status == 200
    for name in (path.name.removesuffix(".blocks") for path in root.glob("files/*")):
        assert hub.send("GET", f"/api/v1/file/{name}").body == b"wholefile"
    assert check_hub(hub.hub).problems == []
    account = hub.hub.accounts.check_password("chief", PASSWORD)
    assert account is not None and account.is_admin


def test_what_is_damaged_is_told_and_the_rest_is_taken(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    block = put(root, b"damaged")
    next((root / "blocks").glob(f"*/{block}")).write_bytes(b"other bytes")
    os.mkfifo(root / "flists" / "me" / "pipe.fl")
    (root / "flists" / "me" / "wrong.fl").write_bytes(b"no flist")
    (root / "files" / f"{'1' * 64}.blocks").write_text(f"{'2' * 64}\n")
    assert init(root, monkeypatch) == 1
    told = capsys.readouterr().err
    for what in (f"block {block}: it is damaged", "me/wrong.fl, version", f"file {'1' * 64}"):
        assert f"not imported: {what}" in told
    assert make_hub(root).get("/api/flist") == ["me/a.fl"]


def test_an_empty_hub_has_nobody_but_its_administrator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert init(tmp_path / "new", monkeypatch) == 0
    hub = open_hub(HubSettings(root=tmp_path / "new"))
    assert [account.name for account in hub.accounts.list()] == ["chief"]
    hub.close()
    with pytest.raises(ZosError, match="already"):
        init(tmp_path / "new", monkeypatch)


def test_an_init_that_fails_leaves_a_plain_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.name for path in root.iterdir())
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(ZosError, match="password"):
        cli.main(["init", str(root), "--admin", "chief"], "zos hub")
    assert sorted(path.name for path in root.iterdir()) == before

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(init_command, "import_folder", interrupt)
    with pytest.raises(KeyboardInterrupt):
        init(root, monkeypatch)
    assert not list(root.glob("hub.db*"))
    monkeypatch.undo()
    assert init(root, monkeypatch) == 0


def test_a_hub_that_keeps_its_blocks_elsewhere_copies_them(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"dir://{tmp_path}/store"
    assert init(root, monkeypatch, "--store", store) == 0
    hub: LocalHub = make_hub(root, store=store)
    assert check_hub(hub.hub).problems == []
