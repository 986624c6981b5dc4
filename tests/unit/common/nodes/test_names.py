"""A node's names, compared with what upstream's code gave."""

import json

import pytest

from common.nodes.nodeid import NodeIdError, chain_address, decode_base58, node_id, parse_node_id
from tests.helpers.samples import samples_dir


def test_ids_are_base58() -> None:
    assert node_id(bytes(32)) == "1" * 32
    public = bytes(range(1, 33))
    assert parse_node_id(node_id(public)) == public
    assert decode_base58("") == b""


@pytest.mark.parametrize("text", ["", "0", "l" * 43, "1" * 31, "z" * 60, "1" * 10**6, "é" * 32])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(NodeIdError):
        parse_node_id(text)


def test_upstreams_names_are_ours() -> None:
    rows = json.loads((samples_dir() / "capacity" / "derivations.json").read_text())["identities"]
    assert rows
    for row in rows:
        public = bytes.fromhex(row["public_key"])
        assert node_id(public) == row["node_id"]
        assert chain_address(public) == row["ss58_address"]
