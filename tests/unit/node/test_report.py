"""Reports of a boot: what they say, in which order, and that nothing waits for them."""

import threading
from pathlib import Path
from typing import Any

from node.model import BootParameters
from node.report import WAITING_MAX, MachineNames, Reporter, find_link, read_machine

UUID = "4c4c4544-0042-3510-8054-b4c04f564433"
PARAMETERS = BootParameters("dev", 7, ("http://hub",), bootstrap="http://boot", enrol="token")
MACHINE = MachineNames(UUID, "52:54:00:12:34:56", "")
ROUTE = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
SENT_S = 30.0


class Server:
    """Takes reports, once it is open."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.is_open = threading.Event()

    def take(self, stage: str, fields: dict[str, Any]) -> None:
        self.is_open.wait(SENT_S)
        self.got.append((stage, fields))
        if stage == "network":
            raise OSError("the connection broke off")


def test_reports_are_sent_in_order_and_a_lost_one_is_only_missing() -> None:
    server = Server()
    reporter = Reporter(PARAMETERS, MACHINE, "1.0+ab", server.take)
    for stage in ("linux", "network", "channel"):
        reporter.reached(stage)  # nothing waits for a server that does not answer
    assert server.got == []
    reporter.failed("ZB42", "cannot fetch http://user:secret@hub/x.fl: " + "x" * 1000)
    server.is_open.set()
    reporter.waiting.join()
    assert [stage for stage, _ in server.got] == ["linux", "network", "channel", "failed"]
    usual = {
        "uuid": UUID,
        "mac": "52:54:00:12:34:56",
        "farm": 7,
        "mode": "dev",
        "version": "1.0+ab",
        "enrol": "token",
    }
    assert server.got[0][1] == usual
    failed = server.got[3][1]
    assert failed["code"] == "ZB42"
    assert failed["detail"].startswith("cannot fetch http://hub/x.fl: xx")
    assert len(failed["detail"]) == 500


def test_a_server_that_never_answers_costs_little_memory() -> None:
    server = Server()
    reporter = Reporter(PARAMETERS, MACHINE, "1.0", server.take)
    for _ in range(10 * WAITING_MAX):
        reporter.failed("", "the same again")
    assert reporter.waiting.qsize() <= WAITING_MAX
    server.is_open.set()


def test_without_a_server_there_are_no_reports() -> None:
    server = Server()
    reporter = Reporter(BootParameters("dev", 7, ("http://hub",)), MACHINE, "1.0", server.take)
    reporter.reached("linux")
    assert reporter.thread is None and reporter.waiting.empty()


def test_a_machine_s_names(tmp_path: Path) -> None:
    (tmp_path / "product_uuid").write_text(f"{UUID.upper()}\n")
    (tmp_path / "product_serial").write_text("ABC 123 \n")
    assert read_machine(tmp_path, tmp_path) == MachineNames(UUID, "", "ABC 123")
    (tmp_path / "product_uuid").write_text("Not Settable\n")
    (tmp_path / "product_serial").write_text("\x1b[31m\n")
    assert read_machine(tmp_path, tmp_path) == MachineNames("", "", "")
    assert read_machine(tmp_path / "no", tmp_path) == MachineNames("", "", "")


def test_the_link_of_the_default_route(tmp_path: Path) -> None:
    four, six = tmp_path / "route", tmp_path / "ipv6_route"
    near = "eth1 0009000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"
    four.write_text(f"{ROUTE}{near}eth0 00000000 0100090A 0003 0 0 0 00000000 0 0 0\n")
    assert find_link(four, six) == "eth0"
    four.write_text(f"{ROUTE}{near}")
    nowhere, router = "0" * 32, f"fe80{'0' * 27}1"
    six.write_text(
        f"{nowhere} 00 {nowhere} 00 {nowhere} ffffffff 00000001 00000000 00200200       lo\n"
        f"{nowhere} 00 {nowhere} 00 {router} 00000400 00000001 00000000 00450003     eth2\n"
    )
    assert find_link(four, six) == "eth2"
    assert find_link(tmp_path / "no", tmp_path / "no") == ""
