"""A node's bring-up hands the services of a flist to a real zinit, and bad ones cost no other."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import bringup
from node.model import NodeError
from node.services import override_text
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
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ZinitDaemon]:
    """Return a zinit to which bring-up adds services of `root`, with the node's own `network`."""
    need_root()
    (tmp_path / "root/etc/zinit").mkdir(parents=True)
    with ZinitDaemon(tmp_path) as zinit:
        monkeypatch.setattr(bringup, "ROOT", tmp_path / "root")
        monkeypatch.setattr(bringup, "SERVICES", zinit.etc)
        override = override_text(tmp_path / "root", "rootfs")
        monkeypatch.setattr(bringup, "OVERRIDE", override)
        zinit.write("network", "exec: sleep 1000")
        zinit.write("rootfs", "exec: sleep 1000")
        zinit.start()
        yield zinit


def add(node: ZinitDaemon, name: str, text: str) -> None:
    """Add a service to the flist."""
    (node.folder / f"root/etc/zinit/{name}.yaml").write_text(text)


def test_every_example_of_the_reference_is_taken(node: ZinitDaemon) -> None:
    page = (TOP / "docs/zinit-services.md").read_text()
    texts = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    for number, text in enumerate(texts):
        add(node, f"s{number}", text)
    names = bringup.start_services(node.client)
    assert sorted(names) == sorted(f"s{number}" for number in range(len(texts)))
    assert "rootfs" in node.client.status("s0")["after"]


def test_a_bad_file_costs_its_service_only_and_says_why(
    node: ZinitDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (text, _) in BAD.items():
        add(node, name, text)
    add(node, "good", "exec: sleep 1000\noneshot: true\nrestart: {delay: 0.2}\n")
    assert bringup.start_services(node.client) == ["good"]
    said = capsys.readouterr().out
    for name, (_, reason) in BAD.items():
        assert f"{node.etc}/{name}.yaml: {reason}" in said
        answer = node.cli("status", name)
        assert answer.returncode == 1
        assert f"{node.etc}/{name}.yaml: {reason}" in answer.stderr


def test_the_reason_is_still_there_after_a_re_execution(node: ZinitDaemon) -> None:
    add(node, "bad", BAD["quoted"][0])
    assert bringup.start_services(node.client) == []
    node.client.call("reexec")
    wait_until(lambda: "re-executed" in node.said(), "it re-executes")
    assert BAD["quoted"][1] in node.cli("status", "bad").stderr


def test_a_node_whose_services_are_all_refused_is_ready_without_them(node: ZinitDaemon) -> None:
    add(node, "bad", "exec: [")
    assert bringup.start_services(node.client) == []


def test_the_nodes_own_services_cannot_be_replaced(
    node: ZinitDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    add(node, "network", "exec: evil")
    add(node, "good", "exec: sleep 1000")
    assert bringup.start_services(node.client) == ["good"]
    assert "cannot start network: the node itself has a service of that name" in (
        capsys.readouterr().out
    )
    assert (node.etc / "network.yaml").read_text() == "exec: sleep 1000"


def test_a_name_that_is_too_long_costs_its_service_only(
    node: ZinitDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    add(node, "x" * 250, "exec: sleep 1000")
    add(node, "good", "exec: sleep 1000")
    assert bringup.start_services(node.client) == ["good"]
    assert f"cannot start {'x' * 250}: its name is too long" in capsys.readouterr().out


@pytest.mark.parametrize(("link", "target"), [("etc", "host"), ("etc/zinit", "host/zinit")])
def test_a_folder_that_leads_out_of_the_flist_is_refused(
    node: ZinitDaemon, link: str, target: str
) -> None:
    (node.folder / "host/zinit").mkdir(parents=True)
    (node.folder / "host/zinit/nodes.yaml").write_text("exec: sleep 1000")
    shutil.rmtree(node.folder / "root" / link)
    (node.folder / "root" / link).symlink_to(node.folder / target)
    with pytest.raises(NodeError, match="a link that leads out of the flist"):
        bringup.start_services(node.client)


def test_a_service_that_was_removed_is_not_waited_for(
    node: ZinitDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    add(node, "b", "exec: sleep 1000")
    names = bringup.start_services(node.client)
    node.client.stop("b")
    wait_until(lambda: node.service_pid("b") == 0, "it is down")
    node.client.forget("b")
    bringup.wait_and_report(node.client, names)
    assert capsys.readouterr().out == ""


def test_a_mended_file_is_started_by_reload(node: ZinitDaemon) -> None:
    add(node, "late", "exec: [")
    assert bringup.start_services(node.client) == []
    node.write("late", "exec: sleep 1000\n")
    assert node.client.reload()["added"] == ["late"]
    status = node.client.status("late")
    assert status["after"] == {"rootfs": "Running"}
