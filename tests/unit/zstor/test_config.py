"""The configuration, beside every recorded answer of upstream."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.zstor.vectors import load_vectors
from zstor.config import load_config, parse_config
from zstor.errors import ConfigError, PlacementError
from zstor.model import Place
from zstor.placement import place_shards

KEY = "ab" * 32
REFUSED_BY_US = {
    "expected-equals-minimal": "leave no parity",
    "minimal-over-expected": "leave no parity",
}
"""Upstream accepts these and aborts when they are used."""
TAKEN_BY_US = {"meta-three"}
"""Any odd number of metadata stores will do."""
PLACED_BY_US = {"node-and-group", "max-shards"}
"""Upstream aborts, or was not asked."""
IMPOSSIBLE = {"sixteen-four-four-groups"}
"""Upstream never answers: a group of five takes more shards along than there is parity."""


def cases() -> list[Any]:
    found: list[Any] = load_vectors("config")["cases"]
    assert found
    return found


def test_what_upstream_accepts_or_refuses() -> None:
    for case in cases():
        name = case["id"]
        expected = REFUSED_BY_US.get(name) or validated(case).get("error")
        if expected is None and (name in TAKEN_BY_US or "parse_error" not in case):
            assert parse_config(case["toml"]), name
            continue
        with pytest.raises(ConfigError) as caught:
            parse_config(case["toml"])
        assert (expected or "") in caught.value.message, name


def validated(case: Any) -> Any:
    """Return the recorded error of a validation, or an empty table."""
    found = case.get("validate", "ok")
    return {} if found == "ok" else found


def test_what_upstream_writes_back_means_the_same() -> None:
    for case in cases():
        if case.get("encoded") and case["id"] not in REFUSED_BY_US and not validated(case):
            assert parse_config(case["encoded"]) == parse_config(case["toml"]), case["id"]


def test_shards_are_placed_where_upstream_places_them() -> None:
    """The groups' shares are among those that upstream drew, except for its faults."""
    for case in cases():
        seen = case.get("placement")
        if case["id"] in REFUSED_BY_US | dict.fromkeys(TAKEN_BY_US) or validated(case):
            continue
        if not isinstance(seen, dict) and case["id"] not in PLACED_BY_US | IMPOSSIBLE:
            assert "parse_error" in case
            continue
        config = parse_config(case["toml"])
        if case["id"] in IMPOSSIBLE or (isinstance(seen, dict) and "error" in seen):
            with pytest.raises(PlacementError):
                place_shards(config)
            continue
        check_shares(config, seen if case["id"] not in PLACED_BY_US else None, case["id"])


def check_shares(config: Any, seen: Any, name: str) -> None:
    groups = config.data_groups
    placed = place_shards(config)
    assert len(set(placed)) == config.expected_shards
    shares = [sum(backend in group for backend in placed) for group in groups]
    if name == "small-group-first":  # upstream draws one shard from the wrong group, too
        assert shares in ([0, 4, 0], [0, 0, 4])
    elif seen is not None:
        assert shares in seen["group_sizes_seen"], name


def text(**changes: str) -> str:
    """Return a configuration with other values for some keys of the top level."""
    top = {"minimal_shards": "2", "expected_shards": "3", "redundant_groups": "0"}
    top |= {"redundant_nodes": "0"} | changes
    lines = [f"{key} = {value}" for key, value in top.items()]
    lines += [f'encryption = {{ algorithm = "AES", key = "{KEY}" }}']
    lines += ['compression = { algorithm = "zstd" }', "[meta]", 'type = "zdb"', "[meta.config]"]
    lines += ['prefix = "p"', f'encryption = {{ algorithm = "AES", key = "{KEY}" }}']
    lines += ['backends = [{ address = "127.0.0.1:1", namespace = "m" }]', "[[groups]]"]
    shards = ", ".join(f'{{ address = "127.0.0.1:{n}" }}' for n in range(2, 6))
    return "\n".join([*lines, f"backends = [{shards}]"])


def test_a_code_without_data_or_of_too_many_shards_is_refused() -> None:
    with pytest.raises(ConfigError, match="minimal_shards"):
        parse_config(text(minimal_shards="0"))
    with pytest.raises(ConfigError, match="expected_shards"):
        parse_config(text(expected_shards="257"))


@pytest.mark.parametrize("size", ["0", "-1", "5000000", '"1"', "1.5"])
def test_a_chunk_that_does_not_fit_is_refused(size: str) -> None:
    with pytest.raises(ConfigError, match="chunk_size"):
        parse_config(text(chunk_size=size))
    assert parse_config(text(chunk_size="4096")).chunk_bytes == 4096


@pytest.mark.parametrize("count", [0, 2, 6, 16, 17])
def test_metadata_needs_an_odd_number_of_stores(count: int) -> None:
    stores = ", ".join(f'{{ address = "127.0.0.1:{n + 1}" }}' for n in range(count))
    wrong = text().replace('{ address = "127.0.0.1:1", namespace = "m" }', stores)
    with pytest.raises(ConfigError, match=f"there are {count} backends: an odd number"):
        parse_config(wrong)


def test_a_metadata_store_that_is_there_twice_is_refused() -> None:
    stores = ", ".join(['{ address = "127.0.0.1:1", namespace = "m" }'] * 3)
    with pytest.raises(ConfigError, match="there twice"):
        parse_config(text().replace('{ address = "127.0.0.1:1", namespace = "m" }', stores))


def test_a_data_backend_that_is_there_twice_counts_once() -> None:
    doubled = text().replace('{ address = "127.0.0.1:2" }', '{ address = "127.0.0.1:3" }')
    assert len(parse_config(doubled).data_groups[0]) == 3
    with pytest.raises(ConfigError, match="only found 3"):
        parse_config(doubled.replace("expected_shards = 3", "expected_shards = 4"))


def test_no_secret_is_shown(tmp_path: Path) -> None:
    place = tmp_path / "config.toml"
    place.write_text(text(socket="5", pid_file="[]").replace(KEY, f"{KEY[:-2]}xy"))
    with pytest.raises(ConfigError) as caught:
        load_config(place)
    assert "ababab" not in caught.value.message
    assert "ababab" not in repr(parse_config(text()))


def test_encryption_needs_a_key_of_some_kind() -> None:
    with pytest.raises(ConfigError, match="a key is missing"):
        parse_config(text().replace(f', key = "{KEY}" }}\ncompression', " }\ncompression"))


def test_files_that_are_no_configuration_are_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none", Path("/dev/null")):
        with pytest.raises(ConfigError, match="cannot read"):
            load_config(place)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(tmp_path / "bytes")
    (tmp_path / "words").write_text("not toml")
    with pytest.raises(ConfigError, match=str(tmp_path / "words")):
        load_config(tmp_path / "words")


@pytest.mark.parametrize(
    "address",
    [
        *("localhost:1", "::1:1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536"),
        *("[127.0.0.1]:1", "[::1%eth0]:1", "[::1]", ":1", "127.0.0.1:-1", "1.2.3:4", "127.0.0.1:²"),
    ],
)
def test_addresses_are_literal(address: str) -> None:
    with pytest.raises(ConfigError, match="no address"):
        parse_config(text().replace("127.0.0.1:3", address))


def test_places_are_shown_as_upstream_shows_them() -> None:
    shown = [case for case in load_vectors("codec")["connection_info"] if "shown" in case]
    assert shown
    for case in shown:
        source = tomllib.loads(f'address = "{case["address"]}"')["address"]
        doubled = text().replace("127.0.0.1:3", source)
        place = parse_config(doubled).groups[0].backends[1].backend.place
        assert str(Place(place.host, place.port, case["namespace"])) == case["shown"]
