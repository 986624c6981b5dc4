"""Private repositories: nobody else learns what is in them, by whatever detour."""

import json
from pathlib import Path

import pytest

from flist.hub.library import readers
from flist.hub.library.hub import open_hub
from tests.helpers.asgi import Answer
from tests.helpers.flist.world import World, make_world

JSON = "application/json"


@pytest.fixture(name="world")
def make(tmp_path: Path) -> World:
    return make_world(tmp_path / "hub")


def places(world: World, repo: str) -> list[str]:
    """Return the addresses of a flist, its version and its block."""
    names = world.names
    block = names[f"{repo}_block"]
    return [
        f"/{repo}/tree.fl", f"/flists/{repo}/tree.fl", f"/objects/{names[f'{repo}_digest']}",
        f"/{repo}/tree.fl?version={names[f'{repo}_digest']}", f"/blocks/{block}",
        f"/blocks/{block[:2]}/{block}", f"/api/v1/block/{block}",
    ]  # fmt: skip


def statuses(world: World, repo: str, token: str) -> set[int]:
    """Return how all addresses answer."""
    return {world.send("GET", place, token).status for place in places(world, repo)}


def patch(world: World, repo: str, **change: object) -> Answer:
    """Change a repository as the operator."""
    body = json.dumps(change).encode()
    token = world.local.tokens["operator"]
    return world.send("PATCH", f"/api/v1/repositories/{repo}", token, body, JSON)


def test_a_shared_cache_keeps_nothing_private(world: World) -> None:
    for place in places(world, "secret"):
        answer = world.send("GET", place, world.local.tokens["alice"])
        assert "private" in answer.headers["cache-control"], place


@pytest.mark.parametrize("who", ["nobody", "another user"])
def test_what_the_hub_has_in_its_caches_stays_private(world: World, who: str) -> None:
    assert statuses(world, "secret", world.local.tokens["alice"]) == {200}
    token = world.credentials[who]
    assert statuses(world, "secret", token) == {404}
    for place in places(world, "secret"):
        tag = world.send("GET", place, world.local.tokens["alice"]).headers["etag"]
        for more in ({"if-none-match": tag}, {"range": "bytes=0-0"}, {"if-none-match": "*"},
                     {"range": "bytes=99999999-"}):  # fmt: skip
            assert world.send("GET", place, token, more=more).status == 404, (place, more)


def test_who_leaves_the_group_is_out_at_once(world: World) -> None:
    token = world.local.tokens["alice"]
    assert statuses(world, "secret", token) == {200}
    world.local.hub.accounts.remove_member("team", "alice")
    found = {place: world.send("GET", place, token).status for place in places(world, "secret")}
    blocks = [place for place in found if "block" in place]
    # Whoever has uploaded a block has it anyway.
    assert {found[place] for place in found if place not in blocks} == {404}
    world.local.hub.accounts.add_member("team", "bob")
    assert statuses(world, "secret", world.credentials["another user"]) == {200}


def test_what_becomes_private_is_private_at_once(world: World) -> None:
    assert statuses(world, "shown", "") == {200}
    assert patch(world, "shown", is_private=True).status == 200
    assert statuses(world, "shown", "") == {404}
    assert statuses(world, "shown", world.local.tokens["alice"]) == {200}
    assert patch(world, "shown", is_private=False).status == 200
    assert statuses(world, "shown", "") == {200}


def test_other_servers_learn_of_it_by_the_epoch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "POLL_S", 0.0)
    other = open_hub(world.local.hub.settings)
    block = bytes.fromhex(world.names["secret_block"])
    assert not other.readers.is_open(block)
    assert patch(world, "secret", is_private=False).status == 200
    assert other.readers.is_open(block)
    assert patch(world, "secret", is_private=True).status == 200
    assert not other.readers.is_open(block)
    other.close()


@pytest.mark.parametrize("who", ["nobody", "another user", "another repository"])
def test_a_question_for_blocks_does_not_tell_of_private_ones(world: World, who: str) -> None:
    names = [world.names["secret_block"], "00" * 32]
    rows = [{"block_hash": name, "file_hash": "", "block_index": 0} for name in names]
    body = json.dumps({"blocks": rows}).encode()
    answer = world.send("POST", "/api/v1/block/verify", world.credentials[who], body, JSON)
    assert json.loads(answer.body) == {"missing": names}
    own = world.send("POST", "/api/v1/block/verify", world.local.tokens["alice"], body, JSON)
    assert json.loads(own.body) == {"missing": names[1:]}


def test_an_upload_does_not_tell_that_a_private_block_is_there(world: World) -> None:
    """Whoever guesses a block's content could ask for it so."""
    block = world.names["secret_block"]
    data = world.send("GET", f"/blocks/{block}", world.local.tokens["alice"]).body
    bob = world.credentials["another user"]
    answers = [world.send("POST", "/api/v1/block", bob, body) for body in (data, b"a new one")]
    assert [answer.status for answer in answers] == [201, 201]
    assert json.loads(answers[0].body) == {"hash": block, "message": "stored"}
    assert world.send("POST", "/api/v1/block", bob, data).status == 200


def test_nobody_gets_at_a_private_block_by_naming_it(world: World) -> None:
    """Bob has the flist from when he was a member; its blocks are in a flist of his own then."""
    bob = world.credentials["another user"]
    answer = world.send("PUT", "/bob/mine.fl", bob, world.flist)
    assert answer.status == 422
    assert statuses(world, "secret", bob) == {404}
    stored = world.send("POST", "/api/v1/file", bob, world.flist)
    name = json.loads(stored.body)["file_hash"]
    assert world.send("GET", f"/website/{name}/file").status == 404
    assert statuses(world, "secret", bob) <= {200, 404}
    block = world.names["secret_block"]
    assert world.send("GET", f"/blocks/{block}", bob).status == 404


def test_a_token_for_one_repository_reads_and_writes_that_one(world: World) -> None:
    hub = world.local.hub
    token = hub.tokens.create(
        hub.accounts.find("alice"), "ci", ["read", "publish"], repository="secret"
    )
    assert statuses(world, "secret", token) == {200}
    assert world.send("PUT", "/secret/tree.fl", token, world.flist).status == 201
    assert world.send("PUT", "/shown/tree.fl", token, world.flist).status == 403
    assert world.send("PUT", "/alice/tree.fl", token, world.flist).status == 403
