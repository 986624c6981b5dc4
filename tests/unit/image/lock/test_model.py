"""The lock file of a profile."""

from dataclasses import replace
from pathlib import Path

import pytest

from common.debian.lock import LockError
from image import cli
from image.errors import ImageError
from image.lock.model import (
    LockedWheel,
    ReleaseLock,
    Request,
    find_request,
    load_lock,
    read_lock,
    render,
)
from image.recipe import plan
from image.recipe.load import built_in, load_recipe
from tests.helpers.debian import lock_package, make_lock

WHEEL = LockedWheel("x-y", "1.0", "x_y-1.0-py3-none-any.whl", 7, "0" * 64)
LOCK = ReleaseLock(make_lock(lock_package("kmod", b"x")), ("x.y[z]>=1; a == 'b'",), (WHEEL,))
TEXT = render(LOCK)


def request(path: Path) -> Request:
    """Return the request that `LOCK` fits."""
    return Request("virt", path, ("kmod",), ("main",), "amd64", LOCK.requirements)


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_text(TEXT)
    assert load_lock(request(tmp_path / "x.lock")) == LOCK


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[python]", "[rust]", "there is no 'python'"),
        ("requirements =", "wishes =", "python: there is no 'requirements'"),
        ('name = "x-y"', 'name = "x-y", url = "x"', "python, wheel 1: unknown key 'url'"),
        ("x_y-1.0-py3-none-any.whl", "../x.whl", "filename is"),
        ("x_y-1.0-py3-none-any.whl", "x.tar.gz", "filename is"),
        ("size = 7", "size = 7.0", "size is 7.0"),
        ('name = "kmod"', 'name = "Kmod"', r"debian, package 1 \(Kmod\): name is"),
    ],
)
def test_a_wrong_lock_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    (tmp_path / "x.lock").write_text(TEXT.replace(old, new))
    with pytest.raises(LockError, match=message):
        read_lock(tmp_path / "x.lock")


def test_a_lock_of_another_request_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with pytest.raises(LockError, match="there is no") as caught:
        load_lock(request(path))
    assert caught.value.hint == f"zos image lock --profile {tmp_path}/x.toml"
    path.write_text(TEXT)
    for other in (
        replace(request(path), packages=("kmod", "more")),
        replace(request(path), components=("main", "non-free-firmware")),
        replace(request(path), architecture="arm64"),
        replace(request(path), requirements=()),
    ):
        with pytest.raises(LockError, match="asks for other things") as caught:
            load_lock(other)
        assert caught.value.hint == f"zos image lock --profile {tmp_path}/x.toml"


ARM_LOCK = replace(
    LOCK,
    debian=replace(LOCK.debian, architecture="arm64", packages=()),
    tools=replace(make_lock(lock_package("kmod", b"x")), request=plan.TOOLS),
)


def test_the_lock_of_another_architecture_has_tools_for_the_machine_that_builds(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.lock"
    wanted = replace(request(path), architecture="arm64")
    path.write_text(render(ARM_LOCK))
    assert load_lock(wanted) == ARM_LOCK
    path.write_text(render(replace(ARM_LOCK, tools=None)))
    with pytest.raises(LockError, match="asks for other things"):
        load_lock(wanted)
    path.write_text(render(replace(LOCK, tools=ARM_LOCK.tools)))
    with pytest.raises(LockError, match="asks for other things"):
        load_lock(request(path))
    assert ARM_LOCK.tools
    tools = replace(ARM_LOCK.tools, architecture="arm64", packages=())
    path.write_text(render(replace(ARM_LOCK, tools=tools)))
    with pytest.raises(LockError, match="its tools are for arm64"):
        load_lock(wanted)


@pytest.mark.parametrize("verb", [["lock"], ["update"], ["mirror", "folder"]])
def test_an_unknown_profile_is_refused(verb: list[str]) -> None:
    with pytest.raises(ImageError, match=r"cannot read the profile \.\./x"):
        cli.main([*verb, "--profile", "../x"], "zos image")


@pytest.mark.parametrize("profile", built_in())
def test_the_committed_lock_fits_its_profile(profile: str) -> None:
    request = find_request(profile)
    lock = load_lock(request)
    assert render(lock) == request.lock.read_text()
    names = {package.name for package in lock.debian.packages}
    assert "python3.13-minimal" in names
    if load_recipe(profile).kind.has_kernel:
        assert {"kmod", f"linux-image-{request.architecture}"} <= names
    else:
        assert {"libseccomp2", "tpm2-tools"} <= names
        assert {"h11", "psutil", "zeroconf"} <= {wheel.name for wheel in lock.wheels}
        assert not [name for name in names if name.startswith("linux-image")]
    pythons = [
        one.version
        for part in lock.parts
        for one in part.packages
        if one.name == "python3.13-minimal"
    ]
    assert len(set(pythons)) == 1  # what compiles is of the version that runs it
