"""`zos image check`: profiles without a mistake, and what it says of others."""

import json
from pathlib import Path

import pytest

from image import cli
from image.errors import ImageError
from image.parts.services import check_services
from image.recipe.load import load_recipe
from tests.helpers.needs import need_tool

pytestmark = pytest.mark.timeout(900)


def test_a_module_that_the_kernel_does_not_have(tmp_path: Path, caches: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "virt"\nmodules = ["fs/btrfs/btrfz*"]\n')
    with pytest.raises(ImageError, match=r"no module 'fs/btrfs/btrfz\*'; did you mean 'fs/btrfs/"):
        cli.main(["check", "--profile", str(path)], "zos image")


def test_firmware_that_is_missing_is_named(
    tmp_path: Path, caches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    modules = '["!*", "drivers/net/ethernet/broadcom/tg3*", "drivers/net/ethernet/alteon/*"]'
    text = f'extends = "virt"\nfirmware = true\nmodules = {modules}\n'
    path.write_text(text)
    assert cli.main(["check", "--json", "--profile", str(path)], "zos image") == 1
    found = json.loads(capsys.readouterr().out)
    assert {row["firmware"] for row in found["missing"]} >= {"acenic/tg1.bin", "acenic/tg2.bin"}
    path.write_text(f'{text}firmware_absent = ["acenic/*", "tigon/*"]\n')
    assert cli.main(["check", "--profile", str(path)], "zos image") == 0
    said = capsys.readouterr().out
    assert "alteon/acenic.ko.xz: no firmware acenic/tg1.bin (Debian does not have it)" in said


def test_every_module_of_metal_has_its_firmware(capsys: pytest.CaptureFixture[str]) -> None:
    need_tool("apt-get")
    assert cli.main(["check", "--json", "--profile", "metal"], "zos image") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["modules"] > 1000
    assert found["missing"] and all(row["known"] for row in found["missing"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exec: /usr/bin/x\n", None),
        ("exec: /usr/bin/x\nafter: [network]\n", None),
        ("exec: /usr/bin/x\nafter: [netwrok]\n", "watch.yaml:2: .*'netwrok', which does not exist"),
        ("exce: /usr/bin/x\n", "watch.yaml"),
    ],
)
def test_services_are_checked_before_the_build(
    tmp_path: Path, text: str, message: str | None
) -> None:
    (tmp_path / "watch.yaml").write_text(text)
    path = tmp_path / "mine.toml"
    path.write_text('extends = "virt"\n[services]\nwatch = { source = "watch.yaml" }\n')
    recipe = load_recipe(path)
    if message is None:
        check_services(recipe)
        return
    with pytest.raises(ImageError, match=message):
        check_services(recipe)
