"""The service file reference is complete and its examples are valid."""

import re

import pytest

from tests.helpers.checkout import TOP
from zinit.client.cli import COMMANDS
from zinit.files import limits
from zinit.files.reading import parse_service
from zinit.files.service import KEYS

DOCS = TOP / "docs"
REFERENCE = DOCS / "zinit-services.md"
PAGES = (REFERENCE, DOCS / "zinit-from.md")


def examples() -> list[str]:
    return [
        text
        for page in PAGES
        for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    ]


def sections() -> dict[str, str]:
    """Return the section of the reference for each key that a heading names."""
    found = {}
    for section in re.split(r"^### ", REFERENCE.read_text(), flags=re.MULTILINE)[1:]:
        heading = section.splitlines()[0]
        names = re.sub(r"\([^)]*\)", "", heading)
        found.update(dict.fromkeys(re.findall(r"`(\w+)`", names), section))
    return found


@pytest.mark.parametrize("text", examples())
def test_every_example_is_a_service_file(text: str) -> None:
    assert parse_service("example", text)[1] == []


def test_every_key_has_an_example() -> None:
    keys = {key for text in examples() for key in re.findall(r"^(\w+):", text, re.MULTILINE)}
    assert keys == {row[0].partition(".")[0] for row in KEYS}


def test_every_key_has_a_section_that_names_its_entries() -> None:
    described = sections()
    assert set(described) == {row[0].partition(".")[0] for row in KEYS}
    for path, *_ in KEYS:
        key, _, entry = path.partition(".")
        assert not entry or f"`{entry}`" in described[key], path
    for name in limits.NUMBERS:
        assert f"`{name}`" in described["limits"], name


def test_every_command_is_documented() -> None:
    text = (DOCS / "zinit.md").read_text()
    for name in COMMANDS:
        if name and not name.startswith("-"):
            assert re.search(rf"`(zinit )?{name}\b", text), name
