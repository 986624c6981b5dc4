"""Profiles: what a file says, what it inherits, and mistakes with their lines."""

from pathlib import Path

import pytest

from image.errors import ImageError
from image.recipe.load import built_in, load_recipe
from image.recipe.recipe import Recipe, is_chosen
from tests.helpers.releases.store import Maintainer

BASE = """# mine
extends = "virt"
packages = [
    "tcpdump",   # debug = true
]
package_files = ["usr/bin/tcpdump"]
modules = ["fs/xfs/*", "!fs/btrfs/*"]
parameters = ["console=ttyS1"]
wheels = ["humanize==4.9.0"]

[files]
"/etc/motd" = { text = "hello", mode = 0o600 }

[services.watch]
text = '''
exec: /usr/bin/tcpdump
'''
"""


def load(folder: Path, text: str, *, debug: bool = False) -> Recipe:
    path = folder / "mine.toml"
    path.write_text(text)
    return load_recipe(path, debug=debug)


def test_the_profiles_of_the_project() -> None:
    virt, metal = load_recipe("virt"), load_recipe("metal")
    assert {"virt", "metal"} <= set(built_in())
    assert virt.components == ("main",)
    assert metal.components == ("main", "non-free-firmware")
    assert not (virt.firmware or virt.microcode or virt.debug or metal.debug)
    assert metal.firmware and metal.microcode and metal.lockdown
    assert set(virt.packages) < set(metal.packages)


def test_a_profile_extends_another(tmp_path: Path) -> None:
    base, mine = load_recipe("virt"), load(tmp_path, BASE)
    assert mine.name == "mine"
    assert mine.packages == (*base.packages, "tcpdump")
    assert mine.wheels == ("humanize==4.9.0",)
    (motd,) = mine.files
    assert (motd.path, motd.content, motd.mode) == ("etc/motd", b"hello", 0o600)
    assert [item.path for item in mine.services] == ["etc/zinit/watch.yaml"]
    assert is_chosen("fs/xfs/xfs.ko.xz", mine.modules)
    assert not is_chosen("fs/btrfs/btrfs.ko.xz", mine.modules)
    assert is_chosen("fs/btrfs/btrfs.ko.xz", base.modules)


def test_the_last_matching_glob_decides(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('modules = ["net/*", "!net/x*"]\n')
    mine = load(tmp_path, 'extends = "base.toml"\nmodules = ["net/*", "!net/y*"]\n')
    assert is_chosen("net/xa.ko", mine.modules)
    assert not is_chosen("net/ya.ko", mine.modules)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("packages = [", "pakages = [", r"mine.toml:3: unknown key 'pakages'; did you mean 'pack"),
        ("packages = [", "xyz = 1\npackages = [", r"mine.toml:3: unknown key 'xyz'$"),
        ('    "tcpdump",', "    7,", r"mine.toml:3: packages: must be a list of strings"),
        ('["usr/bin/tcpdump"]', '"usr"', r"mine.toml:6: package_files: must be a list"),
        ('["console=ttyS1"]', '["a b"]', r"mine.toml:8: parameters: 'a b' is empty or has a space"),
        ("==4.9.0", ">=4", r"mine.toml:9: wheels: 'humanize>=4' is not NAME==VERSION"),
        ("text = \"hello\"", "test = 1", r"mine.toml:12: files: /etc/motd: .*did you mean 'text'"),
        ("0o600", "0o4755", r"mine.toml:12: files: /etc/motd: mode must be at most"),
        ('"/etc/motd"', '"/etc/../x"', r"mine.toml:12: files: .*cannot use the path"),
        ('text = "hello"', 'source = "no"', r"mine.toml:12: .*cannot read .*no: No such file"),
        ('extends = "virt"', 'extends = "vitr"', r"mine.toml:2: there is no profile 'vitr'; did"),
        ('extends = "virt"', "extends = 3", r"mine.toml:2: extends must be the name"),
        ("[services.watch]", '[services."a/b"]', r"'a/b' is not the name of a service"),
        ("[files]", "debug = 1\n[files]", r"mine.toml:11: debug: must be true or false"),
        ("[files]", "[files", r"mine.toml: .*line 11"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in BASE
    with pytest.raises(ImageError, match=message):
        load(tmp_path, BASE.replace(old, new, 1))


def test_profiles_that_extend_one_another(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="profiles extend one another"):
        load(tmp_path, 'extends = "mine.toml"\n')


def test_an_unknown_profile_is_an_error_with_the_names() -> None:
    with pytest.raises(ImageError, match="did you mean 'metal'") as caught:
        load_recipe("metall")
    assert "virt" in str(caught.value.hint)
    with pytest.raises(ImageError, match="No such file"):
        load_recipe("no/such.toml")


@pytest.mark.parametrize(
    "text",
    [
        '[files]\n"/root/.ssh/authorized_keys" = { text = "ssh-ed25519 x" }\n',
        '[files]\n"/etc/shadow" = { text = "root::1::::::" }\n',
        '[files]\n"/usr/sbin/sshd" = { text = "" }\n',
        'package_files = ["usr/sbin/dropbear"]\n',
        'package_files = ["usr/bin/*"]\n',
        'package_files = ["usr/bin/ba*"]\n',
        'parameters = ["rdinit=/bin/sh"]\n',
    ],
)
def test_only_a_debug_profile_may_have_a_way_in(tmp_path: Path, text: str) -> None:
    with pytest.raises(ImageError, match="it has a way into a node") as caught:
        load(tmp_path, f'extends = "virt"\n{text}')
    assert "debug = true" in str(caught.value.hint)
    assert load(tmp_path, f'extends = "virt"\ndebug = true\n{text}').debug
    assert load(tmp_path, f'extends = "virt"\n{text}', debug=True).debug


def test_the_root_of_channels_is_one_that_its_keys_have_signed(tmp_path: Path) -> None:
    made = Maintainer.begin(tmp_path / "store")
    (tmp_path / "root.json").write_bytes(made.root)
    assert load(tmp_path, 'extends = "virt"\nroot = "root.json"\n').root == made.root.decode()
    (tmp_path / "root.json").write_bytes(made.root.replace(b'"version":1', b'"version":2'))
    with pytest.raises(ImageError, match=r"mine.toml:2: root: cannot use the channels' root"):
        load(tmp_path, 'extends = "virt"\nroot = "root.json"\n')
