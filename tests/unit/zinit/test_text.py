"""Text that zinit parses or prints: words, service files, the line protocol, YAML."""

import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zinit.client.yamltext import format_yaml
from zinit.control.linetext import ProtocolError, parse_request, to_json
from zinit.files.nodes import ConfigError
from zinit.files.reading import parse_service
from zinit.files.words import split_words
from zinit.process.spawn import read_environment


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\tc\nd", ["a", "b", "c", "d"]),
        ("", []),
        ("  # all comment", []),
        ("a # comment\n b", ["a", "b"]),
        ("a#b '#c'", ["a#b", "#c"]),
        (r"one\ two \a", ["one two", "a"]),
        (r"""'a\b"c' d""", ['a\\b"c', "d"]),
        (r'"\$x \` \" \\ \n"', ['$x ` " \\ \\n']),
        ('"a\\\nb" c\\\nd', ["ab", "cd"]),
        ("'' \"\"", ["", ""]),
        ("a'b'\"c\"d", ["abcd"]),
        ("a\rb", ["a\rb"]),
    ],
)
def test_words_are_split_as_upstream_splits_them(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize("text", ["'a", '"a', "a\\", '"a\\', '"a\\"'])
def test_open_quotes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quote|backslash"):
        split_words(text)


@given(st.lists(st.text(min_size=1).filter(lambda word: "\0" not in word)))
def test_quoted_words_are_read_back(words: list[str]) -> None:
    text = " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)
    assert split_words(text) == words


def test_scalars_stay_text() -> None:
    text = "exec: run\nenv: {PORT: 8080, SWITCH: on, TIME: 12:30, HEX: 0x10, NO: no}"
    service, warnings = parse_service("a", text)
    assert list(service.env.values()) == ["8080", "on", "12:30", "0x10", "no"]
    assert warnings == []


def test_defaults_are_upstreams() -> None:
    service, _ = parse_service("a", "exec: run")
    assert (service.test, service.oneshot, service.after, service.dir) == ("", False, (), "")
    assert (service.stop_timeout_s, service.stop_signal, service.log) == (10.0, 15, "ring")


def test_unknown_keys_are_ignored_with_a_warning() -> None:
    service, warnings = parse_service("a", "exec: run\ncolour: red\n")
    assert service.exec == "run"
    assert warnings == ["line 2: unknown key 'colour' is ignored"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("exec: ''", 1),
        ("test: x", 1),
        ("exec: run\noneshot: yes", 2),
        ("exec: run\noneshot: 'true'", 2),
        ("exec: run\nafter:", 2),
        ("exec: run\nafter: a", 2),
        ("exec: run\nenv:", 2),
        ("exec: run\n\nlog: null", 3),
        ("exec: run\nsignal: {stop: TERM}", 2),
        ("exec: run\nsignal: {stop: '15'}", 2),
        ("exec: run\nshutdown_timeout: -1", 2),
        ("exec: run\nshutdown_timeout: 1.5", 2),
        ("exec: run\nexec: again", 2),
        ("exec: run\n---\nexec: again", 2),
        ("- exec", 1),
        ("exec: [a]", 1),
        ("exec: 'a", 1),
        ("exec: run\nready: fd:1", 2),
        ("exec: run\nready: fd:x", 2),
        ("exec: run\nroot: usr", 2),
    ],
)
def test_bad_files_are_refused_with_their_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_service("a", text)
    assert refused.value.line == line


@pytest.mark.parametrize("text", ["", "# nothing", "a: &x [*x]", "exec: &a [" + "[" * 50])
def test_odd_files_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_service("a", text)


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse_service("a", text)


def test_requests_need_the_right_number_of_words() -> None:
    command, args = parse_request("status 'a b'")
    assert (command.line, args) == (("status",), ["a b"])
    for line, text in (
        ("", "unknown command"),
        ("wat", "unknown command 'wat' or wrong arguments count"),
        ("status", "unknown command 'status' or wrong arguments count"),
        ("log follow", "invalid log command arguments"),
        ("start 'a", "invalid command syntax"),
    ):
        with pytest.raises(ProtocolError) as refused:
            parse_request(line)
        assert str(refused.value) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_is_read_back(value: object) -> None:
    assert json.loads(to_json(value)) == value


def test_yaml_is_quoted_as_upstream_quotes_it() -> None:
    entries: dict[str, object] = {
        "a": "Running",
        "b": "Error(Exited(Pid(3), 1))",
        "stream:x": "-",
        "n": "yes",
        "pid": 3,
        "after": {},
        "more": {"x": "Unknown"},
    }
    assert format_yaml(entries) == (
        '---\na: Running\nb: "Error(Exited(Pid(3), 1))"\n"stream:x": "-"\nn: "yes"\npid: 3\n'
        "after: {}\nmore:\n  x: Unknown\n"
    )


def test_bad_lines_of_the_environment_file_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"A": "1"})
    path = tmp_path / "environment"
    path.write_bytes(b"# comment=1\nB = 2\nC=\0\nnothing\nD='x=y'\nE=\xff\n=3\n")
    found = read_environment(str(path))
    assert found == {"A": "1", "B ": " 2", "D": "'x=y'", "E": "\udcff"}
