"""The boot log in each kind of database: boots, limits, several servers, and who watches."""

import asyncio
import contextlib

import pytest
from sqlalchemy import func, select

from bootstrap_server.nodes import bootlog
from bootstrap_server.nodes.bootlog import BootLog, Machine
from bootstrap_server.nodes.report import NodeReport
from bootstrap_server.nodes.watch import ClientWatchesError, Watch, WatchersFullError
from bootstrap_server.state.opening import open_state
from bootstrap_server.state.tables import BOOTS, REPORTS
from serving.database import Database

FARM = 4711
UUID = "4c4c4544-0042-3510-8053-b4c04f4d32{:02x}"


class Clock:
    """A clock that goes on a second each time it is read."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        self.now_s += 1
        return self.now_s


def report(number: int = 0, **fields: object) -> NodeReport:
    """Return a report of a machine."""
    said = {"uuid": UUID.format(number), "mac": f"52:54:00:00:00:{number:02x}", "farm": FARM}
    return NodeReport.model_validate(said | fields)


@pytest.fixture
def log(database: Database) -> BootLog:
    return BootLog(database, Clock())


def stages(machine: Machine) -> list[list[str]]:
    """Return the stages of each boot, the newest first."""
    return [[step.stage for step in boot.steps] for boot in machine.boots]


def find_only(log: BootLog) -> Machine:
    """Return the only machine of the farm, with all its boots."""
    (listed,) = log.list_farm(FARM)
    found = log.find(FARM, listed.label)
    assert found is not None
    assert found.boots[0] == listed.boots[0]
    return found


def test_boots_and_their_stages(log: BootLog) -> None:
    first = ("script", "kernel", "initramfs", "kernel", "initramfs", "linux", "network")
    for stage in (*first, "script", "failed"):
        log.record(stage, report())
    machine = find_only(log)
    assert stages(machine) == [["script", "failed"], list(first)]
    assert machine.boots[0].state == "failed"
    assert machine.count == 9
    assert machine.last_s > machine.first_s


def test_the_time_to_ready_is_known_if_the_boot_began_with_its_script(log: BootLog) -> None:
    assert log.record("script", report()) is None
    assert log.record("linux", report()) is None
    assert log.record("ready", report()) == 2.0
    assert log.record("ready", report()) is None, "said again"
    log.record("linux", report())
    assert log.record("ready", report()) is None


def test_a_report_that_is_repeated_is_kept_once(log: BootLog) -> None:
    for _ in range(5):
        log.record("failed", report(code="ZB12"))
    log.record("failed", report(code="ZB21"))
    assert stages(find_only(log)) == [["failed", "failed"]]


def test_a_machine_without_a_uuid_is_known_by_its_card(log: BootLog) -> None:
    log.record("script", report(uuid=""))
    log.record("kernel", report(uuid=""))
    assert stages(find_only(log)) == [["script", "kernel"]]


def test_a_report_that_lacks_the_uuid_belongs_to_the_machine_with_that_card(log: BootLog) -> None:
    log.record("script", report())
    log.record("linux", report(uuid="", serial="x9"))
    machine = find_only(log)
    assert stages(machine) == [["script", "linux"]]
    assert (machine.identity.uuid, machine.identity.serial) == (UUID.format(0), "X9")


def test_a_boot_keeps_its_first_reports_and_the_last(log: BootLog) -> None:
    log.record("script", report())
    for _ in range(bootlog.KEPT_REPORTS):
        log.record("kernel", report())
        log.record("initramfs", report())
    log.record("ready", report())
    (boot,) = find_only(log).boots
    assert len(boot.steps) == bootlog.KEPT_REPORTS
    assert (boot.steps[0].stage, boot.steps[-1].stage, boot.state) == ("script", "ready", "ready")


def test_a_machine_keeps_its_last_boots(log: BootLog, database: Database) -> None:
    for _ in range(bootlog.KEPT_BOOTS + 5):
        log.record("script", report())
        log.record("kernel", report())
    assert len(find_only(log).boots) == bootlog.KEPT_BOOTS
    with database.reading() as connection:
        left = [connection.execute(select(func.count()).select_from(t)).scalar_one()
                for t in (BOOTS, REPORTS)]  # fmt: skip
    assert left == [bootlog.KEPT_BOOTS, 2 * bootlog.KEPT_BOOTS]


def test_the_machines_not_seen_longest_go_unless_a_token_proved_their_farm(
    database: Database,
) -> None:
    log = BootLog(database, Clock(), kept_machines=10)
    log.record("script", report(0), proved_farm=FARM)
    for number in range(1, 30):
        log.record("script", report(number))
    kept = [machine.identity.mac[-2:] for machine in log.list_farm(FARM)]
    assert kept == [f"{number:02x}" for number in (*range(29, 20, -1), 0)]
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(BOOTS)).scalar_one() == 10


def test_only_a_token_moves_a_machine_whose_farm_a_token_has_proved(log: BootLog) -> None:
    log.record("linux", report(farm=1))
    log.record("linux", report(farm=2))
    assert [m.label for m in log.list_farm(1)] == []
    log.record("linux", report(farm=FARM), proved_farm=FARM)
    log.record("script", report(farm=2))
    assert find_only(log).is_enrolled
    log.record("linux", report(farm=2), proved_farm=2)
    assert log.list_farm(FARM) == [] and len(log.list_farm(2)) == 1


def test_servers_of_one_database_share_the_log(shared_url: str) -> None:
    here, there = (BootLog(open_state(None, shared_url)) for _ in range(2))
    here.record("script", report())
    there.record("kernel", report())
    here.record("linux", report())
    assert stages(find_only(there)) == [["script", "kernel", "linux"]]


async def take(changes: "asyncio.Queue[list[Machine] | None]") -> list[str] | None:
    """Return the last stages of the machines that changed."""
    machines = await asyncio.wait_for(changes.get(), 60)
    return None if machines is None else [m.boots[0].steps[-1].stage for m in machines]


def test_who_watches_a_farm_is_told_also_of_what_another_server_took(shared_url: str) -> None:
    here, there = (BootLog(open_state(None, shared_url)) for _ in range(2))

    async def work() -> None:
        watch = Watch(here, lambda: False)
        there.record("script", report(1))
        async with (
            watch.watching(FARM, "192.0.2.1") as changes,
            watch.watching(FARM + 1, "192.0.2.1") as others,
        ):
            there.record("kernel", report(1))
            assert await take(changes) == ["kernel"]
            there.record("linux", report(2))
            assert await take(changes) == ["linux"]
            assert others.empty()

    asyncio.run(work())


def test_a_server_that_stops_lets_go_who_watches(log: BootLog) -> None:
    stopping: list[bool] = []

    async def work() -> None:
        watch = Watch(log, lambda: bool(stopping))
        async with watch.watching(FARM, "192.0.2.1") as changes:
            stopping.append(True)
            assert await take(changes) is None

    asyncio.run(work())


def test_so_many_may_watch(log: BootLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrap_server.nodes.watch.WATCHERS_MAX", 1)

    async def work() -> None:
        watch = Watch(log, lambda: False)
        async with watch.watching(FARM, "192.0.2.1"):
            with pytest.raises(WatchersFullError):
                async with watch.watching(FARM, "192.0.2.1"):
                    pass
        async with watch.watching(FARM, "192.0.2.1"):
            pass

    asyncio.run(work())


def test_of_those_who_come_at_once_only_so_many_may_watch(
    log: BootLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap_server.nodes.watch.WATCHERS_MAX", 3)

    async def work() -> None:
        watch = Watch(log, lambda: False)
        async with contextlib.AsyncExitStack() as stack:
            entering = (
                stack.enter_async_context(watch.watching(FARM, "192.0.2.1")) for _ in range(8)
            )
            found = await asyncio.gather(*entering, return_exceptions=True)
            assert [isinstance(one, WatchersFullError) for one in found].count(False) == 3

    asyncio.run(work())


def test_one_client_does_not_take_the_places_of_all(
    log: BootLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap_server.nodes.watch.WATCHERS_OF_ONE", 2)
    here = ("2001:db8::1", "2001:db8::2")  # one client's network

    async def work() -> None:
        watch = Watch(log, lambda: False)
        async with contextlib.AsyncExitStack() as stack:
            for address in here:
                await stack.enter_async_context(watch.watching(FARM, address))
            with pytest.raises(ClientWatchesError):
                await stack.enter_async_context(watch.watching(FARM + 1, here[0]))
            await stack.enter_async_context(watch.watching(FARM, "2001:db8:1::1"))
        async with watch.watching(FARM, here[0]):
            pass
        assert not watch.counts

    asyncio.run(work())
