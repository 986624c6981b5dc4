"""Which services a change of a workload's flist concerns."""

from collections.abc import Iterator

import pytest

from node.generations.effects import edges_of, is_lasting, reasons_to_move

REDIS = b"exec: redis-server --port 6379 /srv/redis.conf\n"
WEB = b"exec: web\n"
USES = {
    "redis": [b"/usr/bin/redis-server", b"/usr/lib/libc.so.6", b"/dev/null"],
    "web": [b"/usr/bin/web", b"/usr/lib/libssl.so.3"],
    "script": [b"/usr/bin/python3.13"],
    "prepare": [],
}
OLD = {"redis": REDIS, "web": WEB}


def uses(name: str) -> Iterator[bytes]:
    """Yield what a service's processes use."""
    yield from USES[name]


def moved(
    *changed: bytes, new: dict[str, bytes] = OLD, old: dict[str, bytes] = OLD
) -> dict[str, str]:
    return reasons_to_move(old, new, frozenset(changed), uses)


def test_what_nobody_uses_moves_nobody() -> None:
    assert moved(b"/usr/share/doc/web") == {}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (b"/usr/bin/redis-server", {"redis"}),
        (b"/usr/lib/libssl.so.3", {"web"}),
        (b"/srv/redis.conf", {"redis"}),
        (b"/etc/hosts", {"redis", "web"}),
        (b"/etc/zinit/other.yaml", set()),
    ],
)
def test_a_changed_path_moves_those_that_use_it(path: bytes, names: set[str]) -> None:
    assert moved(path).keys() == names


def test_a_changed_file_moves_its_service() -> None:
    assert moved(new={**OLD, "web": WEB + b"env: {A: b}\n"}) == {"web": "its file changed"}


def test_any_change_moves_what_runs_an_interpreter() -> None:
    files = {**OLD, "script": b"exec: python3 /srv/app.py\n"}
    assert moved(b"/srv/lib.py", new=files, old=files) == {"script": "it runs an interpreter"}
    assert moved(new=files, old=files) == {}


def test_what_requires_a_moved_service_moves_with_it() -> None:
    files = {"redis": REDIS, "web": b"exec: web\nrequires: [redis]\n"}
    assert moved(b"/usr/bin/redis-server", new=files, old=files)["web"] == "it requires redis"


def test_what_prepares_the_root_runs_again_if_anything_moves() -> None:
    files = {**OLD, "prepare": b"exec: mkdir /var/x\noneshot: true\n"}
    assert moved(b"/usr/share/doc/web", new=files, old=files) == {}
    assert moved(b"/usr/bin/web", new=files, old=files).keys() == {"web", "prepare"}


@pytest.mark.parametrize("data", [b"exec: [", b"- a", b"", b"after: {a: b}", b"\xff\xfe\x00"])
def test_a_file_that_zinit_refuses_waits_for_nobody(data: bytes) -> None:
    assert edges_of(data) == []


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("exec: a", True),
        ("exec: a\nrestart: {delay: 5}", True),
        ("exec: a\nrestart: always", True),
        ("exec: a\nrestart: on-failure", False),
        ("exec: a\nrestart: {policy: never}", False),
        ("exec: a\noneshot: true", False),
    ],
)
def test_which_services_never_end_for_good(text: str, is_one: bool) -> None:
    assert is_lasting(text.encode()) is is_one
