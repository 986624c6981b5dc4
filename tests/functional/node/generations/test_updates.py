"""Updates of a node's services on a real zinit: what moves, what stays, and the way back."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common.ipc.server import Peer
from node.flists.model import Flist, Wanted
from node.generations.held import Held
from node.generations.leftovers import Leftovers
from node.generations.machine import Action, BusyError, Event, Kind, Record, State
from node.generations.saved import INTERRUPTED, Saved, load, save
from node.generations.updater import ACTIONS, Updater
from tests.helpers.needs import need_root, need_tool
from tests.helpers.node.generations import DAEMON, OPERATOR, Lab
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon

UNIT = "exec: /bin/{} 1000\n"
WORKLOAD = {
    "bin/redis": "@redis",
    "bin/web": "@web",
    "etc/zinit/redis.yaml": UNIT.format("redis"),
    "etc/zinit/web.yaml": UNIT.format("web") + "after: [redis]\n",
}
NEW_WEB = {**WORKLOAD, "bin/web": "@another web"}
CORE = {"bin/daemon": "@daemon", "etc/passwd": "", "etc/zinit/core-a.yaml": UNIT.format("daemon")}
# Ends well when it is told to, as a daemon does; zinit then pauses before it starts it again.
POLITE = "exec: /bin/sh -c 'trap \"exit 0\" TERM; while :; do /bin/sleep 0.1; done'\n"
DAEMONS = {"bin/sh": "@/bin/sh", "bin/sleep": "@", "etc/zinit/web.yaml": POLITE}
CRASHING = {**NEW_WEB, "etc/zinit/web.yaml": "exec: /bin/web 0.3\nrestart: {delay: 0.1}\n"}
MISSING = {**NEW_WEB, "etc/zinit/web.yaml": "exec: /bin/nothing\n"}
UNREADY = {**NEW_WEB, "etc/zinit/web.yaml": UNIT.format("web") + "ready: notify\n"}
BROKEN = {**NEW_WEB, "etc/zinit/web.yaml": "exec: ["}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    need_root()
    need_tool("ldd")
    with ZinitDaemon(tmp_path) as zinit:
        zinit.start()
        lab = Lab(tmp_path, zinit, monkeypatch)
        yield lab
        lab.close()


def test_only_what_changed_moves_to_the_new_set(lab: Lab) -> None:
    lab.boot(lab.release("1", workload=WORKLOAD, core=CORE))
    before = {name: lab.pid(name) for name in ("redis", "web", "core-a")}
    new = lab.release("2", 2, workload=NEW_WEB, core=CORE)
    record = lab.apply(new)
    assert (record.running, record.generation, record.before) == ("2", 2, "1")
    assert lab.pid("redis") == before["redis"]
    assert lab.pid("core-a") == before["core-a"]
    assert lab.pid("web") != before["web"]
    assert lab.root_of("web") == new.flists[0].sha256[:16]
    assert len(lab.mounted()) == 3  # the old workload stays for the service that runs from it
    assert lab.problems.rows() == []


def test_a_daemon_that_ends_well_runs_before_the_set_counts_as_moved(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.boot(lab.release("1", workload=DAEMONS))
    before, seen = lab.pid("web"), list[int]()
    watch = ACTIONS[Action.WATCH]

    def look_and_watch(updater: Updater) -> None:
        seen.append(lab.pid("web"))
        watch(updater)

    monkeypatch.setitem(ACTIONS, Action.WATCH, look_and_watch)
    assert lab.apply(lab.release("2", 2, workload={**DAEMONS, "etc/more": ""})).running == "2"
    assert seen[0] not in (0, before)
    assert lab.pid("web") == seen[0]


def test_an_old_flist_goes_when_its_last_service_ends(lab: Lab) -> None:
    lab.boot(lab.release("1", workload=WORKLOAD))
    new = lab.release("2", 2, workload=NEW_WEB)
    lab.apply(new)
    old = lab.pid("redis")
    lab.zinit.client.kill("redis", "SIGKILL")
    wait_until(lambda: lab.mounted() == [new.flists[0].sha256], "only the new one is mounted")
    wait_until(lambda: lab.pid("redis") not in (0, old), "redis runs")
    assert lab.root_of("redis") == new.flists[0].sha256[:16]


def test_services_come_and_go(lab: Lab) -> None:
    lab.boot(lab.release("1", workload=WORKLOAD))
    new = {path: text for path, text in WORKLOAD.items() if "web" not in path}
    new |= {"bin/news": "@", "etc/zinit/news.yaml": UNIT.format("news")}
    assert lab.apply(lab.release("2", 2, workload=new)).running == "2"
    states = lab.zinit.client.list()
    assert "web" not in states
    assert (states["redis"], states["news"]) == ("Running", "Running")


def test_a_role_comes_and_goes(lab: Lab) -> None:
    first = lab.release("1", workload=WORKLOAD)
    lab.boot(first)
    both = replace(lab.release("2", 2, core=CORE), flists=())
    both = replace(both, flists=(*first.flists, *lab.release("2", 2, core=CORE).flists))
    assert lab.apply(both).running == "2"
    assert lab.zinit.client.list()["core-a"] == "Running"
    assert lab.apply(replace(first, release="3", sequence=3)).running == "3"
    assert "core-a" not in lab.zinit.client.list()
    assert lab.mounted() == [first.flists[0].sha256]


def test_back_and_forth_leaves_what_does_not_change_alone(lab: Lab) -> None:
    first = lab.release("1", workload=WORKLOAD)
    lab.boot(first)
    pid = lab.pid("redis")
    lab.apply(lab.release("2", 2, workload=NEW_WEB))
    lab.apply(replace(first, release="3", sequence=3))
    assert lab.pid("redis") == pid
    assert lab.root_of("web") == lab.root_of("redis") == first.flists[0].sha256[:16]
    assert lab.mounted() == [first.flists[0].sha256]


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        (CRASHING, "web (crashed|is (Error|Spawned))"),
        (MISSING, "not ready after 5 s: web is Failure"),
        (UNREADY, "not ready after 5 s: web is"),
        (BROKEN, "cannot start web: line 2"),
    ],
)
def test_a_bad_release_is_rolled_back_and_not_tried_again(
    lab: Lab, tree: dict[str, str], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    first = lab.release("1", workload=WORKLOAD)
    lab.boot(first)
    pid = lab.pid("redis")
    bad = lab.release("2", 2, workload=tree)
    record = lab.apply(bad)
    assert (record.running, record.bad, record.generation) == ("1", "2", 1)
    assert lab.pid("redis") == pid
    assert lab.zinit.client.list()["web"] == "Running"
    assert lab.root_of("web") == first.flists[0].sha256[:16]
    assert lab.mounted() == [first.flists[0].sha256]
    (problem,) = lab.problems.rows()
    assert str(problem["text"]).startswith("rolled back from 2: ")
    assert re.search(reason, str(problem["text"]))
    assert "update: rolled back to 1" in capfd.readouterr().out
    with pytest.raises(BusyError, match="it was given up"):
        lab.apply(bad)
    lab.held = replace(bad, sequence=3)
    lab.updater.look(DAEMON)
    assert (lab.record.bad, lab.problems.rows()) == ("", [])


def test_a_flist_that_is_refused_changes_nothing(lab: Lab) -> None:
    lab.boot(lab.release("1", workload=WORKLOAD))
    pids = [lab.pid("redis"), lab.pid("web")]
    bad = lab.release("2", 2, core=CORE, workload=NEW_WEB)
    del lab.flists[bad.flists[1].sha256]
    record = lab.apply(bad)
    assert (record.running, record.bad) == ("1", "")
    assert "its signature is wrong" in record.reason
    assert [lab.pid("redis"), lab.pid("web")] == pids
    assert len(lab.mounted()) == 1
    assert "core-a" not in lab.zinit.client.list()


def test_firmware_that_was_fetched_for_nothing_is_not_looked_into(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "firmware-path"
    monkeypatch.setattr("node.flists.mounts.FIRMWARE_PATH", path)
    firmware = {"usr/lib/firmware/card.bin": "1"}
    first = lab.release("1", firmware=firmware, workload=WORKLOAD)
    lab.boot(first)
    before = path.read_text()
    assert first.flists[0].sha256[:16] in before
    bad = lab.release("2", 2, firmware={"usr/lib/firmware/card.bin": "2"}, workload=NEW_WEB)
    del lab.flists[bad.flists[1].sha256]
    assert "its signature is wrong" in lab.apply(bad).reason
    assert path.read_text() == before
    assert len(lab.mounted()) == 2


def test_a_node_that_comes_up_again_meanwhile_does_not_blame_the_release(lab: Lab) -> None:
    lab.boot(lab.release("1", workload=WORKLOAD))
    (part,) = lab.updater.site.parts
    mounted = part.flist

    def mount_late(wanted: Wanted, old: Flist | None, others: Leftovers) -> Flist | None:
        try:
            return lab.mount(wanted, old, others)
        finally:
            part.flist = None  # its mount has ended

    lab.updater.site.mount_beside = mount_late
    record = lab.apply(lab.release("2", 2, workload=NEW_WEB))
    assert (record.running, record.bad) == ("1", "")
    assert record.reason == "cannot update: workload is not mounted yet"
    part.flist, lab.updater.site.mount_beside = mounted, lab.mount
    assert lab.apply(lab.held).running == "2"


def test_a_node_that_loses_its_hub_goes_back(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.generations.health.HUB_EVERY_S", 0.1)
    monkeypatch.setattr("node.generations.health.HUB_WITHIN_S", 0.2)
    lab.boot(lab.release("1", workload=WORKLOAD))
    web = lab.pid("web")
    lab.updater.site.is_hub_there = lambda: lab.pid("web") == web  # the new one cuts it off
    record = lab.apply(lab.release("2", 2, workload=NEW_WEB))
    assert record.running == "1"
    assert "no hub answers" in record.reason


def test_a_service_that_was_down_before_does_not_count(lab: Lab) -> None:
    """Nor does it keep the release away that mends it."""
    tree = {**WORKLOAD, "etc/zinit/bad.yaml": "exec: [", "etc/zinit/down.yaml": "exec: /bin/no\n"}
    first = lab.release("1", workload={**tree})
    lab.boot(first, is_well=False)
    assert not any(part.is_settled for part in lab.updater.site.parts)
    record = lab.apply(lab.release("2", 2, workload={**tree, "bin/web": "@another web"}))
    assert record.running == "2"
    mended = {**WORKLOAD, "etc/zinit/down.yaml": UNIT.format("web")}
    assert lab.apply(lab.release("3", 3, workload=mended)).running == "3"
    assert lab.zinit.client.list()["down"] == "Running"


def test_an_operator_goes_back(lab: Lab) -> None:
    first = lab.release("1", workload=WORKLOAD)
    lab.boot(first)
    second = lab.release("2", 2, workload=NEW_WEB)
    lab.apply(second)
    pid = lab.pid("redis")
    lab.updater.rollback(OPERATOR)
    record = lab.end()
    assert (record.running, record.bad, record.generation) == ("1", "2", 3)
    assert lab.root_of("web") == first.flists[0].sha256[:16]
    assert lab.pid("redis") == pid
    with pytest.raises(BusyError, match="it was given up"):
        lab.apply(second)
    assert lab.apply(second, OPERATOR).running == "2"


def test_an_operator_goes_back_while_the_node_is_watched(lab: Lab) -> None:
    lab.boot(lab.release("1", workload=WORKLOAD))
    lab.updater.site.watch_s = 60.0
    lab.begin(lab.release("2", 2, workload=NEW_WEB))
    wait_until(lambda: lab.record.state == State.WATCHING, "it is watched")
    with pytest.raises(BusyError, match="the node is watching 2"):
        lab.begin(lab.release("3", 3, workload=WORKLOAD))
    lab.updater.rollback(OPERATOR)
    record = lab.end()
    assert (record.running, record.bad) == ("1", "2")


def test_only_what_the_channel_holds_is_applied(lab: Lab) -> None:
    lab.boot(lab.release("1", workload=WORKLOAD))
    lab.held = lab.release("2", 2, workload=NEW_WEB)
    lab.updater.look(DAEMON)
    with pytest.raises(BusyError, match="the channel holds 2"):
        lab.updater.apply(Peer(1, 0, 0), "1.9")


def test_one_caller_at_a_time_looks(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers and disks may be slow; callers must not pile up."""
    monkeypatch.setattr("node.generations.updater.LOOK_WAIT_S", 0.05)
    lab.boot(lab.release("1", workload=WORKLOAD))

    def look() -> Held:
        with pytest.raises(BusyError, match="the node is asking already"):
            lab.updater.look(DAEMON)
        return lab.held

    lab.updater.site.look = look
    lab.updater.look(DAEMON)
    lab.updater.site.look = lambda: lab.held
    lab.updater.look(DAEMON)


def test_an_older_state_of_the_channel_is_not_applied(lab: Lab) -> None:
    lab.boot(lab.release("1", workload=WORKLOAD))
    assert lab.apply(lab.release("2", 2, workload=NEW_WEB)).running == "2"
    with pytest.raises(BusyError, match="an older state of the channel"):
        lab.apply(lab.release("1", 1, workload=WORKLOAD), OPERATOR)
    assert (lab.record.running, lab.record.state) == ("2", State.IDLE)


def test_an_update_that_bring_up_did_not_survive_has_failed(lab: Lab, tmp_path: Path) -> None:
    lab.boot(lab.release("1", workload=WORKLOAD))
    lab.updater.site.watch_s = 60.0
    lab.begin(lab.release("2", 2, workload=NEW_WEB))
    wait_until(lambda: lab.record.state == State.WATCHING, "it is watched")
    place = tmp_path / "saved.json"
    save(lab.updater.saved, place)
    found = load(place)
    assert isinstance(found, Saved)
    assert found.running == lab.updater.saved.running
    assert (found.record.running, found.record.bad) == ("1", "2")
    assert (found.record.state, found.record.reason) == (State.IDLE, INTERRUPTED)
    lab.updater.rollback(OPERATOR)
    lab.end()


def test_a_release_that_bring_up_was_fetching_when_it_ended_is_not_to_blame(tmp_path: Path) -> None:
    record = Record("1", State.FETCHING, target="2", target_sequence=2, bad="1.5", bad_sequence=1)
    save(Saved(record, ()), tmp_path / "saved.json")
    found = load(tmp_path / "saved.json")
    assert isinstance(found, Saved)
    assert (found.record.bad, found.record.bad_sequence) == ("1.5", 1)
    assert (found.record.state, found.record.reason) == (State.IDLE, INTERRUPTED)


def test_what_is_asked_for_too_early_does_not_change_the_update_under_way(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused in the midst of it, and accepted before the new set is handed over."""
    lab.boot(lab.release("1", workload=WORKLOAD, core=CORE))
    lab.updater.site.watch_s = 60.0
    second = lab.release("2", 2, workload=NEW_WEB, core=CORE)
    lab.begin(second)
    wait_until(lambda: lab.record.state == State.WATCHING, "it is watched")
    with pytest.raises(BusyError, match="the node is watching 2"):
        lab.begin(lab.release("3", 3, core=CORE))  # would leave no workload
    hand_over = Updater.hand_over

    def ask_first(self: Updater) -> None:
        monkeypatch.setattr(Updater, "hand_over", hand_over)
        lab.updater.rollback(OPERATOR)
        self.hand_over()

    monkeypatch.setattr(Updater, "hand_over", ask_first)
    lab.updater.site.watch_s = 1.0
    lab.updater.feed(Event(Kind.HEALTHY))
    wait_until(lambda: lab.record.generation == 2, "2 runs")
    record = lab.end()
    assert (record.running, record.generation) == ("1", 3)
    assert {part.wanted.role for part in lab.updater.site.parts} == {"workload", "core"}
    assert lab.zinit.client.list()["web"] == "Running"
    assert {one.sha256 for one in lab.updater.saved.running} == set(lab.mounted())
