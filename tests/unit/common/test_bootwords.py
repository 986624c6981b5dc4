"""The words of the kernel's command line: quotes, repeated words, and what nothing uses."""

import json
from pathlib import Path

import pytest

from bootstrap_server.options.parameters import PARAMETERS
from common.bootwords import (
    KNOWN,
    LAST_COUNTS,
    find_ignored,
    read_unclaimed,
    read_words,
    split_words,
)
from tests.helpers.samples import samples_dir

# Where upstream's reading is not ours, by design: it loses words there.
DIFFERENCES: dict[str, dict[str, list[str | None]]] = {
    'broken="no end': {"end": [None]},  # only the word that has no end is lost
    "quiet quiet=1 quiet": {"quiet": [None, "1", None]},  # the value that is there stays
}


def test_words_are_read_as_upstream_reads_them() -> None:
    cases = json.loads((samples_dir() / "capacity" / "node.json").read_text())["kernel_params"]
    for case in cases:
        words = read_words(case["cmdline"])
        found = {key: list(values) for key, values in words.values.items()}
        upstreams = {
            key: [None] if values is None else values for key, values in case["params"].items()
        }
        assert found == DIFFERENCES.get(case["cmdline"], upstreams), case
        for key, value in case["last_value"].items():
            assert words.last(key) == value


def test_what_upstream_loses_is_kept() -> None:
    assert split_words('a=1 b="no end c=3 # d=4 x#y') == (
        ["a=1", "end", "c=3", "#", "d=4", "x#y"],
        ['b="no'],
    )
    assert read_words("relay=a relay").values == {"relay": ("a", None)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  a\tb\n", ["a", "b"]),
        ("a='b \\ c'", ["a=b \\ c"]),
        ('a="b \\" c"', ['a=b " c']),
        ("a=b\\ c", ["a=b c"]),
        ("a='' b=\"\"", ["a=", "b="]),
        ("a='x'\"y\"z", ["a=xyz"]),
        ("''", [""]),
    ],
)
def test_quotes(text: str, words: list[str]) -> None:
    assert split_words(text) == (words, [])


@pytest.mark.parametrize("broken", ["a='x", 'a="x', "a=x\\", "a='x\\", 'b="'])
def test_a_word_without_an_end_costs_itself_only(broken: str) -> None:
    words = read_words(f"farmer_id=1 {broken}")
    assert words.chosen() == {"farmer_id": "1"}
    assert words.broken == (broken,)
    (line,) = find_ignored(words)
    assert line.startswith("cannot use ") and broken[0] in line


def test_which_of_several_values_counts() -> None:
    words = read_words("runmode=dev runmode=test vlan:priv=5 vlan:priv=6 relay=a relay=b")
    assert words.chosen() == {"runmode": "dev", "vlan:priv": "6", "relay": "a"}
    assert find_ignored(words) == [
        "runmode is there 2 times: runmode=dev counts",
        "vlan:priv is there 2 times: vlan:priv=6 counts",
    ]
    assert find_ignored(read_words("net.mtu=1400 net.mtu=1400")) == []


@pytest.mark.parametrize(
    "word", ["net.adress=10.0.0.1/24", "vlan:prov=5", "zos-debugg", "farmerid=4"]
)
def test_an_unknown_word_is_named(word: str) -> None:
    (line,) = find_ignored(read_words(f"runmode=dev console=ttyS0 quiet {word}"))
    assert line == f"cannot use {word}: a node knows no such parameter"


def test_what_the_kernel_does_not_know_is_named(tmp_path: Path) -> None:
    (tmp_path / "environ").write_bytes(b"HOME=/\0sekret=1\0runmode=dev\0BOOT_IMAGE=x\0")
    (tmp_path / "cmdline").write_bytes(b"/init\0flyby\0")
    words = read_words("BOOT_IMAGE=x runmode=dev quiet sekret=1 flyby")
    lines = find_ignored(words, read_unclaimed(tmp_path))
    assert lines == [
        "cannot use sekret=1: a node knows no such parameter",
        "cannot use flyby: a node knows no such parameter",
    ]
    assert find_ignored(words, read_unclaimed(tmp_path / "none")) == []


def test_a_line_shows_no_secret_and_no_flood() -> None:
    (line,) = find_ignored(read_words("enrol=hidden enrol=other"))
    assert "hidden" not in line and "other" not in line
    (line,) = find_ignored(read_words("net.x=http://me:hidden@proxy/"))
    assert "hidden" not in line
    (line,) = find_ignored(read_words("net.x=\x1b[2J" + "a" * 1000))
    assert line.isprintable() and len(line) < 200


def test_every_parameter_of_a_node_is_known() -> None:
    assert {name for name, one in PARAMETERS.items() if one.reader == "node"} <= KNOWN
    assert LAST_COUNTS <= KNOWN
