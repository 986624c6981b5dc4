"""The operators' page lists exactly the settings, and all commands, that exist."""

import re

from tests.helpers.checkout import TOP
from zdb.commands.table import make_table
from zdb.serve.settings import ZdbSettings

TEXT = (TOP / "docs" / "storage.md").read_text()
SERVER = TEXT.partition("\n## The server\n")[2].partition("\n## ")[0]
ROW = re.compile(r"^\| `(\w+)` \| *([^|]*)\|", re.MULTILINE)
OF_REPLICAS = {"REPLICA"}


def test_settings() -> None:
    rows = SERVER.partition("\n### Settings\n")[2].partition("\n### ")[0]
    table = {key: default.strip(" `") for key, default in ROW.findall(rows)}
    assert set(table) == set(ZdbSettings.model_fields)
    for name, field in ZdbSettings.model_fields.items():
        shown = "" if field.default in (None, "", []) else str(field.default)
        default = str(float(shown)) if field.annotation is float else shown
        assert table[name] == default, name


def test_commands() -> None:
    words = set(re.findall(r"\b[A-Z]{2,}\b", SERVER))
    names = {name.decode() for name in make_table() if name.isalpha()}
    assert names - words <= OF_REPLICAS
