"""A node's bring-up hands the services of a flist to a real zinit, and bad ones cost no other."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.flists import start
from node.flists.model import WORKLOAD, Flist, Wanted
from node.flists.part import Part
from node.flists.prepare import Preparer
from node.flists.start import start_services
from node.model import BootParameters, NodeError
from node.problems import Problems
from node.report import MachineNames, Reporter
from node.trying import Trying
from tests.helpers.checkout import TOP
from tests.helpers.needs import need_root
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon

BAD = {
    "text": ("just text", "line 1: "),
    "list": ("- a list", "line 1: "),
    "cut": ("exec: x\nenv: {", "line "),
    "twice": ("exec: x\n\nexec: y\n", "line 3: "),
    "quoted": ("exec: x\noneshot: 'true'\n", "line 2: expected true or false"),
    "typed": ("exec: x\nrestart: {delay: soon}\n", "line 2: expected a number of seconds"),
    "after": ("exec: x\nafter: b\n", "line 2: expected a list of names"),
}


@pytest.fixture
def flist(tmp_path: Path) -> Flist:
    """Return a flist whose root is an ordinary folder."""
    found = Flist(WORKLOAD, "tf-zos/development", "ab" * 32, home=tmp_path / "flists")
    (found.root / "etc/zinit").mkdir(parents=True)
    return found


@pytest.fixture
def node(flist: Flist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ZinitDaemon]:
    """Return a zinit to which bring-up adds services of `flist`, with the node's own `network`."""
    need_root()
    with ZinitDaemon(tmp_path) as zinit:
        monkeypatch.setattr(start, "SERVICES", zinit.etc)
        zinit.write("network", "exec: sleep 1000")
        zinit.write(flist.service, "exec: sleep 1000")
        zinit.start()
        yield zinit


def add(flist: Flist, name: str, text: str) -> None:
    """Add a service to the flist."""
    (flist.root / f"etc/zinit/{name}.yaml").write_text(text)


def test_every_example_of_the_reference_is_taken(node: ZinitDaemon, flist: Flist) -> None:
    page = (TOP / "docs/zinit-services.md").read_text()
    texts = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    for number, text in enumerate(texts):
        add(flist, f"s{number}", text)
    names = start_services(node.client, flist)
    assert sorted(names) == sorted(f"s{number}" for number in range(len(texts)))
    assert flist.service in node.client.status("s0")["after"]


def test_a_bad_file_costs_its_service_only_and_says_why(
    node: ZinitDaemon, flist: Flist, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (text, _) in BAD.items():
        add(flist, name, text)
    add(flist, "good", "exec: sleep 1000\noneshot: true\nrestart: {delay: 0.2}\n")
    assert start_services(node.client, flist) == ["good"]
    said = capsys.readouterr().out
    for name, (_, reason) in BAD.items():
        assert f"{node.etc}/{name}.yaml: {reason}" in said
        answer = node.cli("status", name)
        assert answer.returncode == 1
        assert f"{node.etc}/{name}.yaml: {reason}" in answer.stderr


def test_the_reason_is_still_there_after_a_re_execution(node: ZinitDaemon, flist: Flist) -> None:
    add(flist, "bad", BAD["quoted"][0])
    assert start_services(node.client, flist) == []
    node.client.call("reexec")
    wait_until(lambda: "re-executed" in node.said(), "it re-executes")
    assert BAD["quoted"][1] in node.cli("status", "bad").stderr


def test_a_node_whose_services_are_all_refused_is_ready_without_them(
    node: ZinitDaemon, flist: Flist
) -> None:
    add(flist, "bad", "exec: [")
    assert start_services(node.client, flist) == []


def test_the_nodes_own_services_cannot_be_replaced(
    node: ZinitDaemon, flist: Flist, capsys: pytest.CaptureFixture[str]
) -> None:
    add(flist, "network", "exec: evil")
    add(flist, "good", "exec: sleep 1000")
    assert start_services(node.client, flist) == ["good"]
    assert "cannot start network: the node itself has a service of that name" in (
        capsys.readouterr().out
    )
    assert (node.etc / "network.yaml").read_text() == "exec: sleep 1000"


def test_a_name_that_is_too_long_costs_its_service_only(
    node: ZinitDaemon, flist: Flist, capsys: pytest.CaptureFixture[str]
) -> None:
    add(flist, "x" * 250, "exec: sleep 1000")
    add(flist, "good", "exec: sleep 1000")
    assert start_services(node.client, flist) == ["good"]
    assert f"cannot start {'x' * 250}: its name is too long" in capsys.readouterr().out


@pytest.mark.parametrize(("link", "target"), [("etc", "host"), ("etc/zinit", "host/zinit")])
def test_a_folder_that_leads_out_of_the_flist_is_refused(
    node: ZinitDaemon, flist: Flist, link: str, target: str
) -> None:
    (node.folder / "host/zinit").mkdir(parents=True)
    (node.folder / "host/zinit/nodes.yaml").write_text("exec: sleep 1000")
    shutil.rmtree(flist.root / link)
    (flist.root / link).symlink_to(node.folder / target)
    with pytest.raises(NodeError, match="a link that leads out of the flist"):
        start_services(node.client, flist)


def test_a_service_that_was_removed_is_not_waited_for(
    node: ZinitDaemon, flist: Flist, capsys: pytest.CaptureFixture[str]
) -> None:
    add(flist, "b", "exec: sleep 1000")
    names = start_services(node.client, flist)
    node.client.stop("b")
    wait_until(lambda: node.service_pid("b") == 0, "it is down")
    node.client.forget("b")
    part = make_part(node, names)
    part.settle()
    assert part.is_settled
    assert capsys.readouterr().out == ""


def test_a_mount_that_ends_before_its_services_are_up_is_noticed(
    node: ZinitDaemon, flist: Flist, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that never comes up must not keep the others from coming back."""
    monkeypatch.setattr("node.flists.part.REPORT_INTERVAL_S", 0.1)
    monkeypatch.setattr("node.flists.part.RETRY_S", 0.1)
    add(flist, "down", "exec: /nothing")
    part = make_part(node, start_services(node.client, flist))
    part.flist = flist
    mount = node.service_pid(flist.service)
    with ThreadPoolExecutor() as pool:
        settled = pool.submit(part.settle)
        wait_until(lambda: part.trying.problems.rows() != [], "it is told")
        os.kill(mount, signal.SIGKILL)
        assert settled.result(30) is False


def test_a_mended_file_is_started_by_reload(node: ZinitDaemon, flist: Flist) -> None:
    add(flist, "late", "exec: [")
    assert start_services(node.client, flist) == []
    node.write("late", "exec: sleep 1000\n")
    assert node.client.reload()["added"] == ["late"]
    status = node.client.status("late")
    assert status["after"] == {flist.service: "Running"}


def make_part(node: ZinitDaemon, names: list[str]) -> Part:
    """Return a part whose services are `names`."""
    parameters = BootParameters("dev", 1, ("http://hub",))
    reporter = Reporter(parameters, MachineNames("", "", ""), "1.0")
    trying = Trying(reporter, Problems())
    wanted = Wanted(WORKLOAD, "tf-zos/development")
    part = Part(node.client, wanted, Preparer(parameters), trying, lambda *_: None)
    part.names = names
    return part
