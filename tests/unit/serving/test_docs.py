"""The operators' page lists exactly the settings that exist, with their defaults."""

import re

import pytest

from bootstrap_server.settings import BootstrapSettings
from flist.hub.settings import HubSettings
from registry.settings import RegistrySettings
from serving.settings import ServerSettings
from tests.helpers.checkout import TOP

TEXT = (TOP / "docs" / "servers.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| *([^|]*)\|", re.MULTILINE)


def read_table(heading: str) -> dict[str, str]:
    """Return key and default of each row below a heading."""
    _, found, rest = TEXT.partition(f"\n## {heading}\n")
    assert found, heading
    return {key: default.strip(" `") for key, default in ROW.findall(rest.partition("\n## ")[0])}


def own_settings(model: type[ServerSettings]) -> set[str]:
    """Return the settings that a server declares itself."""
    return set(model.__annotations__) - {"model_config"}


def test_the_settings_of_every_server() -> None:
    table = read_table("Settings of every server")
    assert set(table) == set(ServerSettings.model_fields)
    for name, field in ServerSettings.model_fields.items():
        shown = "" if field.default in (None, "") else str(field.default)
        assert table[name] == shown, name


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("The hub", HubSettings),
        ("The bootstrap server", BootstrapSettings),
        ("The registry", RegistrySettings),
    ],
)
def test_the_settings_of_one_server(heading: str, model: type[ServerSettings]) -> None:
    table = read_table(heading)
    assert set(table) == own_settings(model)
    assert model.model_config["env_prefix"] in TEXT
    for name in table:
        field = model.model_fields[name]
        wanted = "required" if field.is_required() else str(field.default or "")
        assert table[name] == wanted, name


def test_the_metrics_that_are_named_exist() -> None:
    from serving.connections import Connections
    from serving.metrics import Metrics

    metrics = Metrics()
    Connections(ServerSettings(), metrics)
    shown = metrics.render().decode()
    named = set(re.findall(r"`(zos_http_\w+)`", TEXT))
    assert len(named) == 7
    for name in named:
        assert f"# TYPE {name} " in shown, name
    reasons = TEXT.partition("The reasons are ")[2].partition("\n")[0]
    sources = "".join(path.read_text() for path in (TOP / "serving").glob("*.py"))
    for reason in re.findall(r"`(\w+)`", reasons):
        assert f'"{reason}"' in sources, reason
