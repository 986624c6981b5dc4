"""The version of the project, and the commands that print it."""

import importlib.metadata
import platform
import tomllib

import pytest

from common.version import project_version
from flist import cli as flist_cli
from tests.helpers.checkout import TOP
from zero_os import cli


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_the_commands_print_the_version(capsys: pytest.CaptureFixture[str], word: str) -> None:
    version = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["version"]
    assert cli.main([word]) == 0
    assert flist_cli.main([word], "rfs") == 0
    assert capsys.readouterr().out == f"zos {version}\nrfs {version}\n"


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ({"ID": "zero-os", "VERSION_ID": "0.1.0+abc"}, "0.1.0+abc"),
        ({"ID": "debian", "VERSION_ID": "13"}, "unknown"),
        (None, "unknown"),
    ],
)
def test_the_version_on_a_node_is_its_release(
    monkeypatch: pytest.MonkeyPatch, release: dict[str, str] | None, version: str
) -> None:
    def lack(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    def read() -> dict[str, str]:
        if release is None:
            raise OSError
        return release

    monkeypatch.setattr(importlib.metadata, "version", lack)
    monkeypatch.setattr(platform, "freedesktop_os_release", read)
    assert project_version() == version
