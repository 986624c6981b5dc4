"""The ways into a node, by kind: what production sources have, and debug ones."""

import stat

import pytest

from image.formats.cpio import Member, entry_mode
from image.parts.project import compose, describe_os
from image.recipe.kind import KINDS
from image.recipe.load import load_recipe
from image.recipe.recipe import Recipe
from image.release.ways import find_ways

AGENT = ["etc/zinit/debug-agent.yaml", "usr/lib/zero-os-debug/agent.py"]
PROFILES = [("virt", "release"), ("metal", "release"), ("core", "core")]


def make_member(path: str, content: bytes = b"", mode: int = stat.S_IFREG | 0o644) -> Member:
    return Member(path, 1, mode, 0, 0, 1, 0, (0, 0), content)


def collect(recipe: Recipe) -> list[Member]:
    """Return what is the project's own in a build of `recipe`."""
    tree = compose(recipe)
    found = [make_member(path, file.content, entry_mode(file)) for path, file in tree.files()]
    about = describe_os(recipe, "1", "2").encode()
    return [*found, make_member("etc/os-release", about)]


@pytest.mark.parametrize(("profile", "kind"), PROFILES)
def test_production_sources_have_no_way_in(profile: str, kind: str) -> None:
    found = find_ways(collect(load_recipe(profile, kind=KINDS[kind])))
    assert not any(found.values())
    assert {"agent", "shell", "login", "account"} < set(found)


@pytest.mark.parametrize(("profile", "kind"), PROFILES)
def test_debug_sources_have_the_agent_and_say_so(profile: str, kind: str) -> None:
    found = find_ways(collect(load_recipe(profile, debug=True, kind=KINDS[kind])))
    assert sorted(found.pop("agent")) == AGENT
    assert found.pop("debug mark") == ["etc/os-release"]
    assert not any(found.values())


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("usr/bin/sh", b"", "shell"),
        ("usr/bin/busybox", b"", "shell"),
        ("usr/sbin/sshd", b"", "login"),
        ("usr/sbin/agetty", b"", "login"),
        ("usr/bin/socat", b"", "other"),
        ("etc/shadow", b"", "account"),
        ("root/.ssh/authorized_keys", b"", "account"),
        ("etc/passwd", b"root:x:0:0::/:/bin/sh\n", "account"),
        ("etc/passwd", b"root::0:0::/:/usr/sbin/nologin\n", "account"),
        ("etc/passwd", b"broken\n", "account"),
        ("etc/zinit/console.yaml", b"exec: /usr/sbin/agetty tty1\n", "login"),
        ("etc/zinit/console.yaml", b'exec: "/bin/sh -i"\n', "shell"),
    ],
)
def test_each_way_has_its_kind(path: str, content: bytes, kind: str) -> None:
    found = find_ways([make_member(path, content)])
    assert found.pop(kind) == [path]
    assert not any(found.values())


def test_what_is_no_way_in_is_not_named() -> None:
    members = [
        make_member("etc/passwd", b"root:x:0:0::/:/usr/bin/zos\na:x:1:1::/:/usr/sbin/nologin\n"),
        make_member("usr/bin/kmod"),
        make_member("bin", b"usr/bin", stat.S_IFLNK | 0o777),
        make_member("usr/lib/zero-os-debug", b"", stat.S_IFDIR | 0o755),
    ]
    found = find_ways(members)
    assert not any(found.values())
