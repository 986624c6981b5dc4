"""The service file reference is whole and its examples are right."""

import re

import pytest

from tests.helpers.checkout import TOP
from zinit.client.cli import COMMANDS
from zinit.files import keys as ownkeys
from zinit.files import service as config
from zinit.files.service import parse_service

DOCS = TOP / "docs"
PAGES = ("zinit-services.md", "zinit-from.md")


def examples() -> list[str]:
    return [
        text
        for page in PAGES
        for text in re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    ]


@pytest.mark.parametrize("text", examples())
def test_every_example_is_a_service_file(text: str) -> None:
    assert parse_service("example", text)[1] == []


def test_every_key_has_an_example() -> None:
    keys = {key for text in examples() for key in re.findall(r"^(\w+):", text, re.MULTILINE)}
    assert keys >= {*config.KEYS, *ownkeys.KEYS}
    heads = re.findall(r"^### (.*)$", (DOCS / "zinit-services.md").read_text(), re.MULTILINE)
    documented = {
        key for head in heads for key in re.findall(r"`(\w+)`", head.split("(")[0] + head)
    }
    assert documented >= {*config.KEYS, *ownkeys.KEYS}


def test_every_command_is_told() -> None:
    text = (DOCS / "zinit.md").read_text()
    for name in COMMANDS:
        if name and not name.startswith("-"):
            assert re.search(rf"`(zinit )?{name}\b", text), name
