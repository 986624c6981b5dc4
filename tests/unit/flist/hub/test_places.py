"""Blocks that several files share: the hub knows of every file which blocks it consists of."""

import hashlib
import json
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from flist.hub.contents.contents import PIECE_BYTES
from flist.hub.state.tables import FILES, PIECES
from flist.hub.web.rfs import files
from flist.server.names import name_block, name_file
from tests.helpers.flist.hub import LocalHub, make_hub

BLOCKS = (b"first" * 100, b"second" * 100)
MORE = b"5more"


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    return make_hub(tmp_path / "hub")


def upload_as_upstream(hub: LocalHub, pieces: tuple[bytes, ...], asker: str) -> tuple[str, int]:
    """Upload a file as upstream's client does: only the blocks that are called missing."""
    names = [name_block(piece) for piece in pieces]
    file_hash = name_file(names)
    rows = [
        {"block_hash": name, "file_hash": file_hash, "block_index": index}
        for index, name in enumerate(names)
    ]
    answer = hub.send("POST", "/api/v1/block/verify", {"blocks": rows}, user=asker)
    missing = json.loads(answer.body)["missing"]
    for index, name in enumerate(names):
        if name in missing:
            path = f"/api/v1/block?file_hash={file_hash}&idx={index}"
            assert hub.send("POST", path, pieces[index], user="alice").status in (200, 201)
    return file_hash, len(missing)


@pytest.mark.parametrize("asker", ["", "alice"])
def test_a_file_that_shares_blocks_comes_back_whole(hub: LocalHub, asker: str) -> None:
    """Upstream's client asks without a token."""
    first, _ = upload_as_upstream(hub, BLOCKS, asker)
    second, sent = upload_as_upstream(hub, (*BLOCKS, MORE), asker)
    assert sent == (1 if asker else 3)
    for name, pieces in ((first, BLOCKS), (second, (*BLOCKS, MORE))):
        assert hub.send("GET", f"/api/v1/file/{name}").body == b"".join(pieces)
        rows = hub.get(f"/api/v1/blocks/{name}")["blocks"]
        assert rows == [[name_block(piece), index] for index, piece in enumerate(pieces)]
    assert upload_as_upstream(hub, (*BLOCKS, MORE), asker) == (second, 0)


def count_parts(hub: LocalHub) -> int:
    """Return how many parts of files the hub knows of."""
    with hub.hub.database.reading() as connection:
        return len(connection.execute(select(PIECES)).all())


def test_a_question_without_a_token_writes_nothing(hub: LocalHub) -> None:
    upload_as_upstream(hub, BLOCKS, "")
    before = count_parts(hub)
    rows = [{"block_hash": name_block(BLOCKS[0]), "file_hash": "a" * 64, "block_index": 7}]
    answer = hub.send("POST", "/api/v1/block/verify", {"blocks": rows})
    assert json.loads(answer.body) == {"missing": [name_block(BLOCKS[0])]}
    assert count_parts(hub) == before == len(BLOCKS)


def test_a_whole_files_blocks_are_at_their_places(hub: LocalHub) -> None:
    content = bytes(PIECE_BYTES) + b"end"
    assert hub.send("POST", "/api/v1/file", content, user="alice").status == 201
    name = hashlib.sha256(content).hexdigest()
    names = [name_block(bytes(PIECE_BYTES)), name_block(b"end")]
    rows = [
        {"block_hash": block, "file_hash": name, "block_index": index}
        for index, block in enumerate(names)
    ]
    rows.append({"block_hash": names[1], "file_hash": name, "block_index": 2})
    answer = hub.send("POST", "/api/v1/block/verify", {"blocks": rows})
    assert json.loads(answer.body) == {"missing": [names[1]]}


@pytest.mark.parametrize(
    ("file_hash", "index"), [("../../x", 0), ("a" * 63, 0), ("a" * 64, -1), ("a" * 64, 1 << 40)]
)
def test_impossible_places_are_refused(hub: LocalHub, file_hash: str, index: int) -> None:
    upload_as_upstream(hub, BLOCKS, "")
    rows = [{"block_hash": name_block(BLOCKS[0]), "file_hash": file_hash, "block_index": index}]
    answer = hub.send("POST", "/api/v1/block/verify", {"blocks": rows}, user="alice")
    assert answer.status == 400


def test_a_new_place_of_a_known_block_is_201(hub: LocalHub) -> None:
    paths = [f"/api/v1/block?file_hash={digit * 64}&idx=0" for digit in "1122"]
    found = [hub.send("POST", path, b"block", user="alice").status for path in paths]
    assert found == [201, 200, 201, 200]


def test_a_file_is_kept_for_everybody_who_sent_a_part_of_it(hub: LocalHub) -> None:
    name = name_file([name_block(BLOCKS[0])])
    place = f"/api/v1/block?file_hash={name}&idx=0"
    sent = [hub.send("POST", place, BLOCKS[0], user=user).status for user in ("alice", "bob")]
    assert sent == [201, 201]
    assert hub.send("POST", place, BLOCKS[0], user="bob").status == 200
    with hub.hub.database.reading() as connection:
        keepers = connection.execute(select(FILES.c.account_id).filter_by(object=name)).all()
    assert len(keepers) == 2


def test_a_question_about_a_large_file_is_one_change(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.send("POST", "/api/v1/block", BLOCKS[0], user="alice").status == 201
    block, count = name_block(BLOCKS[0]), 1200
    rows = [{"block_hash": block, "file_hash": "a" * 64, "block_index": n} for n in range(count)]
    changes, hold = [], files.hold_name

    def counted(connection: Connection, name: str) -> bool:
        changes.append(name)
        return hold(connection, name)

    monkeypatch.setattr(files, "hold_name", counted)
    for _ in range(2):
        answer = hub.send("POST", "/api/v1/block/verify", {"blocks": rows}, user="alice")
        assert json.loads(answer.body) == {"missing": []}
    assert (len(changes), count_parts(hub)) == (1, count)
