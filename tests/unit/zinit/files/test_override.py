"""Overrides: what a machine sets over a service file, which stays as its author wrote it."""

from pathlib import Path

import pytest

from zinit.files.folder import Folder
from zinit.files.nodes import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return an empty folder of service files."""
    return Folder(str(tmp_path), lambda _: None)


def write(folder: Folder, text: str, override: str) -> None:
    """Write the service `a` and its override."""
    (Path(folder.path) / "a.yaml").write_text(text)
    (Path(folder.path) / "a.override").write_text(override)


def test_an_override_adds_to_lists_and_replaces_other_values(folder: Folder) -> None:
    write(folder, "exec: x\nafter: [b]\nroot: /evil\n", "root: /good\nafter: [c]\nwants: [d]\n")
    service = folder.load("a")
    assert (service.exec, service.root) == ("x", "/good")
    assert (service.after, service.wants) == (("b", "c"), ("d",))


def test_an_override_is_no_service(folder: Folder) -> None:
    write(folder, "exec: x\n", "root: /good\n")
    assert folder.names() == ["a"]


def test_a_service_without_an_override_is_as_its_file_says(folder: Folder) -> None:
    write(folder, "exec: x\nroot: /mine\n", "")
    assert folder.load("a").root == "/mine"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exec: x\n\nafter: b\n", "line 3: expected a list of names"),
        ("exec: x\noneshot: 'true'\n", "line 2: expected true or false"),
        ("exec: x\nroot: /a\nroot: /b\n", "line 3"),
    ],
)
def test_an_error_names_the_line_of_the_authors_file(
    folder: Folder, text: str, reason: str
) -> None:
    write(folder, text, "# a comment\n\n\n\nafter: [c]\nroot: /good\n")
    with pytest.raises(ConfigError) as caught:
        folder.load("a")
    assert str(caught.value).startswith(reason)
    assert folder.refused["a"] == f"{folder.path}/a.yaml: {caught.value}"


@pytest.mark.parametrize("override", ["- a", "a: [", "root: relative"])
def test_a_bad_override_refuses_its_service(folder: Folder, override: str) -> None:
    write(folder, "exec: x\n", override)
    with pytest.raises(ConfigError):
        folder.load("a")


def test_a_mended_file_is_no_longer_refused(folder: Folder) -> None:
    write(folder, "exec: [\n", "")
    with pytest.raises(ConfigError):
        folder.load("a")
    write(folder, "exec: x\n", "")
    folder.load("a")
    assert folder.refused == {}
    with pytest.raises(ConfigError):
        folder.load("a\nb")
    assert folder.refused == {}  # a client made that name up
