"""Settings: which source wins, and what is said about a wrong one."""

import argparse
from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.errors import UsageError
from registry.settings import RegistrySettings
from serving.settings import ServerSettings, add_flags, load_settings


class ThingSettings(ServerSettings):
    """Settings of a server that does not exist."""

    model_config = SettingsConfigDict(env_prefix="ZOS_THING_")

    color: str = Field(default="red", description="100 % color")
    place: Path = Field(description="a folder")
    key: list[Path] = Field(default=[], description="a key; can be repeated")
    names: list[str] = Field(default=[], description="names")


def load(tmp_path: Path, text: str | None = None, **flags: object) -> ThingSettings:
    """Return the settings from a file with `text`, the environment, and flags."""
    config = None
    if text is not None:
        config = tmp_path / "thing.toml"
        config.write_text(text)
    given = {} if text and "place" in text else {"place": "x"}
    return load_settings(ThingSettings, {**given, **flags}, config)


def test_flags_beat_the_environment_which_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'color = "file"\nlog_level = "debug"\nidle_timeout = 7\n'
    assert load(tmp_path).color == "red"
    assert load(tmp_path, text).color == "file"
    monkeypatch.setenv("ZOS_THING_COLOR", "environment")
    monkeypatch.setenv("ZOS_THING_IDLE_TIMEOUT", "8.5")
    found = load(tmp_path, text)
    assert (found.color, found.idle_timeout, found.log_level) == ("environment", 8.5, "debug")
    found = load(tmp_path, text, color="flag", idle_timeout=None)
    assert (found.color, found.idle_timeout) == ("flag", 8.5)
    monkeypatch.setenv("ZOS_THING_COLOR", "")  # an empty variable is not set
    assert load(tmp_path, text).color == "file"


def test_a_list_is_read_from_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, ThingSettings)
    flags = vars(parser.parse_args(["--key", "a", "--key", "b c", "--place", "x"]))
    config = flags.pop("config")
    assert load_settings(ThingSettings, flags, config).key == [Path("a"), Path("b c")]
    assert load(tmp_path, 'names = ["a b", "c"]\n').names == ["a b", "c"]
    assert load(tmp_path, 'names = "a, b c"\n').names == ["a", "b", "c"]
    monkeypatch.setenv("ZOS_THING_KEY", "a,b")
    assert load(tmp_path).key == [Path("a"), Path("b")]
    monkeypatch.setenv("ZOS_THING_NAMES", "x")
    assert load(tmp_path, 'names = "a"\n').names == ["x"]


def test_the_environment_is_read_only_when_settings_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZOS_THING_COLOR", "environment")
    assert ThingSettings(place=Path()).color == "red"


def test_unknown_keys_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"thing\.toml: unknown key 'colour'") as caught:
        load(tmp_path, 'colour = "blue"\n')
    assert "color" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="unknown key 'limits'"):
        load(tmp_path, "[limits]\nidle_timeout = 1\n")
    monkeypatch.setenv("ZOS_THING_COLOUR", "blue")
    with pytest.raises(UsageError, match="the environment: unknown key 'ZOS_THING_COLOUR'"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("idle_timeout = 0\n", "'idle_timeout' from .*thing.toml: input should be greater than 0"),
        ("idle_timeout = inf\n", "'idle_timeout' from .*thing.toml: input should be a finite"),
        ('idle_timeout = "soon"\n', "'idle_timeout' from .*thing.toml: input should be a valid"),
        ("max_connections = 1.5\n", "'max_connections' from .*thing.toml"),
        ('log_format = "xml"\n', "'log_format' from .*thing.toml"),
        ('place = ""\n', "'place' from .*thing.toml: it is empty"),
        ('tls_cert = ""\n', "'tls_cert' from .*thing.toml: it is empty"),
        ('tls_cert = "a"\n', "tls_cert and tls_key must be set together"),
        ("max_connections = 100000\n", "max_buffered_bytes must be 4096 per max_connections"),
        ("color = \n", "cannot read settings .*thing.toml: Invalid value"),
        ('listen = "nowhere"\n', "cannot listen on 'nowhere'"),
    ],
)
def test_bad_values(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load(tmp_path, text)


def test_bad_values_of_other_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="'min_rate' from the command line"):
        load(tmp_path, min_rate="x")
    with pytest.raises(UsageError, match="the setting 'place' is missing"):
        load(tmp_path, place=None)
    with pytest.raises(UsageError, match=r"cannot read settings .*none.toml: No such file"):
        load_settings(ThingSettings, {}, tmp_path / "none.toml")
    monkeypatch.setenv("ZOS_THING_STOP_TIMEOUT", "-1")
    with pytest.raises(UsageError, match="'stop_timeout' from the environment"):
        load(tmp_path)


def test_every_setting_has_a_flag_and_a_description(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, ThingSettings)
    flags = vars(parser.parse_args(["--color", "blue", "--max-header-bytes", "2048"]))
    config = flags.pop("config")
    assert set(flags) == set(ThingSettings.model_fields)
    assert {key for key, value in flags.items() if value is not None} == {
        "color",
        "max_header_bytes",
    }
    assert load_settings(ThingSettings, {**flags, "place": "x"}, config).max_header_bytes == 2048
    for name, field in ThingSettings.model_fields.items():
        assert field.description, name
    text = parser.format_help()
    assert text.index("--color") < text.index("--tls-cert")
    assert "100 % color (red)" in text


def test_a_list_in_the_environment_is_text_that_the_model_splits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZOS_REGISTRY_ENROLMENT_KEY", "/a.pub,/b.pub")
    found = load_settings(RegistrySettings, {"state": "s"})
    assert found.enrolment_key == [Path("/a.pub"), Path("/b.pub")]


def test_a_flag_of_paths_can_be_repeated() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, RegistrySettings)
    flags = vars(parser.parse_args(["--enrolment-key", "a", "--enrolment-key", "b"]))
    assert flags["enrolment_key"] == ["a", "b"]


def test_a_list_in_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not as JSON"):
        load(tmp_path, names='["a", "b"]')
