"""Names, paths and JSON of a server's API."""

import io
import json

import pytest

from flist.errors import StoreError
from flist.server import api
from flist.server.names import name_block, name_file, split_file

NAMES = [name_block(bytes([number])) for number in range(3)]


def test_a_file_is_named_by_its_blocks() -> None:
    blocks = list(split_file(io.BytesIO(b"abcdefg"), 3))
    assert blocks == [b"abc", b"def", b"g"]
    assert name_file([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert name_file(map(name_block, blocks)) != name_file(map(name_block, reversed(blocks)))


def test_a_question_names_every_block() -> None:
    rows = json.loads(api.make_question(NAMES))["blocks"]
    assert [row["block_hash"] for row in rows] == NAMES
    assert {(row["file_hash"] == row["block_hash"], row["block_index"]) for row in rows} == {
        (True, 0)
    }


def test_only_requested_blocks_count_as_missing() -> None:
    answer = {"missing": [NAMES[2], "x" * 64, ["nested"], None, NAMES[0]]}
    assert api.read_missing(answer, NAMES) == [NAMES[0], NAMES[2]]


def test_the_blocks_of_a_file_are_sorted_by_index() -> None:
    rows = [[NAMES[1], 10], [NAMES[0], 2], [NAMES[2], 11]]
    assert api.read_file({"blocks": rows}) == [NAMES[0], NAMES[1], NAMES[2]]


@pytest.mark.parametrize(
    "rows",
    [[[NAMES[0]]], [[NAMES[0], "0"]], [[NAMES[0], True]], [[NAMES[0], 0, 0]], [["x", 0]], [7], 7],
)
def test_lists_without_names_or_indexes_are_refused(rows: object) -> None:
    with pytest.raises(StoreError, match="cannot understand"):
        api.read_file({"blocks": rows})


def test_paths_are_quoted() -> None:
    assert api.file_path("../a?b") == "api/v1/blocks/..%2Fa%3Fb"


@pytest.mark.parametrize("answer", [None, [], {}, {"downloads_count": 1}, {"downloads_count": "x"}])
def test_answers_without_downloads_are_refused(answer: object) -> None:
    with pytest.raises(StoreError, match="counts no downloads"):
        api.read_downloads(answer)


@pytest.mark.parametrize("token", [None, 7, "a\nb", "ä"])
def test_invalid_tokens_are_refused(token: object) -> None:
    with pytest.raises(StoreError, match="no token"):
        api.read_token({"access_token": token})
