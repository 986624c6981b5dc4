"""The table of keys is consistent, and the values of zinit's own keys are read or refused."""

import copy

import pytest

from zinit.files import special, values
from zinit.files.nodes import ConfigError
from zinit.files.reading import IMPLIED, NEEDED_ENTRIES, OPEN_MAPPINGS, parse_service
from zinit.files.service import (
    DEFAULTS,
    FORK,
    FORK_ATTRIBUTES,
    KEYS,
    LIVE,
    LIVE_ATTRIBUTES,
    START,
    Service,
)


def test_rows_of_one_attribute_agree() -> None:
    facts: dict[str, tuple[str, object]] = {}
    for _, attribute, _, effect, default in KEYS:
        assert facts.setdefault(attribute, (effect, default)) == (effect, default), attribute
        assert effect in (LIVE, START, FORK)
    assert not LIVE_ATTRIBUTES & FORK_ATTRIBUTES


def test_every_kind_has_one_reader_and_every_reader_a_key() -> None:
    assert not values.READERS.keys() & special.READERS.keys()
    assert {row[2] for row in KEYS} == values.READERS.keys() | special.READERS.keys()


def test_the_class_declares_the_attributes_of_the_table() -> None:
    assert set(Service.__annotations__) == {"name", *DEFAULTS}
    service = Service("a", "run")
    for attribute, default in DEFAULTS.items():
        assert getattr(service, attribute) == ("run" if attribute == "exec" else default)


def test_the_rules_for_mappings_name_keys_of_the_table() -> None:
    paths = {row[0] for row in KEYS}
    assert paths >= {f"{key}.{entry}" for key, entry in NEEDED_ENTRIES.items()}
    assert {path.partition(".")[0] for path in paths if "." in path} >= {*OPEN_MAPPINGS, *IMPLIED}
    assert {attribute for attribute, _ in IMPLIED.values()} <= DEFAULTS.keys()


@pytest.mark.parametrize(
    "line",
    [
        "root: /r",
        "user: u",
        "group: g",
        "groups: [g]",
        "limits: {core: 0}",
        "capabilities: []",
        "no_new_privileges: true",
        "cgroup: {}",
        "tty: /dev/tty2",
        "netns: n",
    ],
)
def test_what_posix_spawn_cannot_do_is_not_plain(line: str) -> None:
    assert Service("a").is_plain
    assert not parse_service("a", f"exec: run\n{line}\n")[0].is_plain


@pytest.mark.parametrize(
    "line",
    [
        "restart: sometimes",
        "restart: [always]",
        "restart: {polic: always}",
        "restart: {delay: -1}",
        "restart: {delay: nan}",
        "restart: {factor: 0.5}",
        "restart: {limit: 1001}",
        "probe: 5",
        "liveness: x",
        "liveness: {interval: 5}",
        "liveness: {test: x, failures: 0}",
        "watchdog: 0",
        "start_timeout: soon",
        "limits: {files: 5}",
        "limits: {nofile: 3:2}",
        "limits: {nofile: many}",
        "capabilities: [FLY]",
        "capabilities: NET_ADMIN",
        "cgroup: 5",
        "cgroup: {disk: 5}",
        "cgroup: {memory: lots}",
        "cgroup: {cpu: 0}",
        "cgroup: {kill: all}",
        "tty: tty2",
        "log: {size: 1M}",
        "log: {file: relative}",
        "no_new_privileges: yes",
        "user: ''",
    ],
)
def test_bad_values_are_refused_with_their_line(line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_service("a", f"exec: run\n{line}\n")
    assert refused.value.line == 2


def test_values_are_read() -> None:
    service, warnings = parse_service(
        "a",
        "exec: run\nlimits: {nofile: 1024:4096, core: 0, as: 1.5G, nproc: unlimited}\n"
        "cgroup: {memory: 512M, cpu: 50%, pids: 10}\ncapabilities: [CAP_NET_ADMIN, net_raw]\n"
        "log: {file: /var/log/x, size: 10K, keep: 2}\nreload: sighup\nnetns: ndmz\n",
    )
    assert warnings == []
    assert service.limits == {
        "nofile": (1024, 4096),
        "core": (0, 0),
        "as": (1536 << 20, 1536 << 20),
        "nproc": (-1, -1),
    }
    assert service.cgroup == {
        "memory.max": str(512 << 20),
        "cpu.max": "50000 100000",
        "pids.max": "10",
    }
    assert not service.kill_cgroup
    assert service.capabilities == ("NET_ADMIN", "NET_RAW")
    assert (service.log, service.log_file) == ("file", "/var/log/x")
    assert (service.log_size_bytes, service.log_keep) == (10240, 2)
    assert service.reload == "SIGHUP"
    assert service.netns == "/run/netns/ndmz"


def test_a_key_may_set_several_attributes() -> None:
    service, _ = parse_service("a", "exec: run\nready: fd:5\ncgroup: {kill: cgroup}")
    assert (service.ready, service.ready_fd) == ("fd", 5)
    assert (service.cgroup, service.kill_cgroup) == ({}, True)
    service, _ = parse_service("a", "exec: run\nready: notify\ncgroup: {kill: group}")
    assert (service.ready, service.ready_fd) == ("notify", -1)
    assert (service.cgroup, service.kill_cgroup) == ({}, False)


def test_a_restart_mapping_doubles_the_delay_unless_it_says_otherwise() -> None:
    for line, policy, factor in (
        ("restart: never", "never", 1.0),
        ("restart: {delay: 1}", "always", 2.0),
        ("restart: {policy: never}", "never", 2.0),
        ("restart: {factor: 3}", "always", 3.0),
    ):
        service, _ = parse_service("a", f"exec: run\n{line}")
        assert (service.restart_policy, service.restart_factor) == (policy, factor), line


def test_the_later_of_two_keys_for_one_attribute_counts() -> None:
    for text, limit_s in (
        ("shutdown_timeout: 5\nstop_timeout: 2.5", 2.5),
        ("stop_timeout: 2.5\nshutdown_timeout: 5", 5.0),
    ):
        assert parse_service("a", f"exec: run\n{text}")[0].stop_timeout_s == limit_s


def test_unknown_entries_of_signal_are_ignored_as_upstream_does() -> None:
    service, warnings = parse_service("a", "exec: run\nsignal: {stop: SIGINT, start: what}")
    assert (service.stop_signal, warnings) == (2, [])


def test_reading_a_file_leaves_the_shared_defaults_alone() -> None:
    before = copy.deepcopy(DEFAULTS)
    parse_service("a", "exec: run\nenv: {A: b}\nlimits: {core: 0}\ncgroup: {pids: 1}\nafter: [b]")
    assert before == DEFAULTS


POISON = (
    "9" * 5000,
    f"fd:{'9' * 5000}",
    f"{'9' * 400}G",
    "1e999G",
    "nan",
    "inf",
    "-1",
    "0x" + "f" * 5000,
    "٣",
    "fd:²",
    '"\\ud800"',
    '"\\0"',
    "''",
    "~",
    "[[]]",
    "{}",
    "[a, {b: c}]",
    "{? [a] : b}",
    "&a [*a]",
    "unlimited:" + "9" * 5000,
    "50" * 200 + "%",
)


@pytest.mark.parametrize("key", sorted({row[0] for row in KEYS} | {"limits.nofile", "cgroup.cpu"}))
def test_a_poisonous_value_costs_its_file_only(key: str) -> None:
    outer, _, inner = key.partition(".")
    for value in POISON:
        text = f"{outer}: {{{inner}: {value}}}" if inner else f"{outer}: {value}"
        try:
            parse_service("a", f"exec: run\n{text}\n" if outer != "exec" else text)
        except ConfigError as error:
            assert "cannot be read" not in str(error), f"{text[:80]}: {error}"


def test_a_reader_that_fails_costs_its_file_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(node: object) -> object:
        raise RecursionError("too deep")

    monkeypatch.setitem(values.READERS, "words", fail)
    with pytest.raises(ConfigError, match="cannot be read: RecursionError: too deep"):
        parse_service("a", "exec: run\nuser: web")
