"""What an account may keep."""

import os
from pathlib import Path

import pytest
from sqlalchemy import update

from flist.hub.library.collecting import collect
from flist.hub.state.quotas import used_bytes
from flist.hub.state.tables import ACCOUNTS
from tests.helpers.flist.hub import LocalHub, make_flist, make_hub

QUOTA = 300_000


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    return make_hub(tmp_path / "hub", quota_bytes=QUOTA)


def upload(hub: LocalHub, data: bytes, user: str = "alice") -> int:
    """Upload a block; return the status."""
    return hub.send("POST", "/api/v1/block", data, user=user).status


def used(hub: LocalHub, user: str) -> int:
    """Return how many bytes an account keeps."""
    with hub.hub.database.reading() as connection:
        return used_bytes(connection, hub.viewer(user).account_id)


def test_uploads_end_at_the_quota_of_their_account(hub: LocalHub) -> None:
    blocks = [os.urandom(100_000) for _ in range(4)]
    assert [upload(hub, block) for block in blocks] == [201, 201, 201, 413]
    assert upload(hub, blocks[0]) == 200  # it is there already
    assert upload(hub, blocks[0], "bob") == 200
    assert (used(hub, "alice"), used(hub, "bob")) == (300_000, 100_000)
    answer = hub.send("POST", "/api/v1/file", os.urandom(250_000), user="bob")
    assert answer.status == 413
    assert "keeps 100000 bytes, and may keep 300000" in answer.text


def test_an_account_may_have_a_quota_of_its_own(hub: LocalHub) -> None:
    mine = ACCOUNTS.c.name == "alice"
    with hub.hub.database.writing() as connection:
        connection.execute(update(ACCOUNTS).where(mine).values(quota_bytes=1000))
    assert upload(hub, bytes(1001)) == 413
    assert upload(hub, bytes(1000)) == 201
    assert upload(hub, bytes(1001), "bob") == 201


def test_a_version_counts_for_the_owner_of_its_repository(hub: LocalHub, tmp_path: Path) -> None:
    """Whoever has uploaded its blocks; what it has in common with others, once."""
    data = make_flist(tmp_path, hub.root, "small")
    assert hub.send("PUT", "/alice/a.fl", data, user="alice").status == 201
    before = used(hub, "alice")
    assert before >= len(data)
    large = make_flist(tmp_path, hub.root, os.urandom(200_000).hex())
    answer = hub.send("PUT", "/alice/a.fl", large, user="alice")
    assert answer.status == 413
    assert hub.send("GET", "/alice/a.fl").body == data
    assert used(hub, "alice") == before
    assert hub.send("DELETE", "/alice/a.fl", user="alice").status == 200
    assert used(hub, "alice") == before  # what is removed takes room until it is collected
    collect(hub.hub, -1e9)
    assert used(hub, "alice") == 0
