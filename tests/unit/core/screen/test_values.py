"""What the screen says, from what the daemons answer or don't."""

import json

import pytest

from core.screen.values import Answers, duration, gigabytes, look, megabytes
from tests.helpers.core.updates import update_row
from tests.helpers.samples import samples_dir

GIB = 1 << 30
DOOR = {
    "release": "0.1.0+abc",
    "farm": 4711,
    "run_mode": "prod",
    "stage": "ready",
    "problems": [],
    "network": {
        "chosen": "eth1",
        "links": [
            {"name": "eth0", "carrier": False, "leases": []},
            {"name": "eth1", "carrier": True, "leases": [{"address": "192.168.1.7/24"}]},
        ],
    },
    "update": {"state": "idle"},
}
ANSWERS = {
    "door": DOOR,
    "services": [{"name": "redis", "state": "Running"}, {"name": "setup", "state": "Success"}],
    "identity": {"node": "AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9", "kind": "ephemeral"},
    "facts": {"capacity": {"cru": 4, "mru": 8 * GIB, "sru": 10**12, "hru": 0}},
    "load": {"busy": 0.123, "memory": {"used": 512 << 20, "total": 2 * GIB}, "uptime_s": 3700},
    "report": {"registry": "https://registry.example", "registered": True, "problems": []},
    "kernel": "6.12.1",
}


def rows(**changes: object) -> dict[str, str]:
    return dict(look(Answers(**(ANSWERS | changes))).rows)  # type: ignore[arg-type]


def test_a_node_that_is_well() -> None:
    seen = look(Answers(**ANSWERS))  # type: ignore[arg-type]
    assert (seen.farm, seen.state, seen.problems, seen.is_well) == ("4711", "READY", (), True)
    assert seen.title == "Zero-OS   farm 4711   run mode prod   kernel 6.12.1"
    assert dict(seen.rows) == {
        "Node": "AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9  (until it restarts)",
        "Address": "192.168.1.7/24 on eth1, no cable: eth0",
        "Release": "0.1.0+abc",
        "Services": "2 run or are done",
        "Load": "CPU 12 %, memory 512 of 2048 MB, up 1 h 01 min",
        "Capacity": "4 CPU, memory 8 GB, SSD 931 GB, HDD 0 GB",
        "Registry": "registered, https://registry.example",
    }


def test_a_service_that_fails_is_named() -> None:
    seen = look(Answers(**ANSWERS | {"services": [{"name": "redis", "state": "Error(Exited(1))"}]}))  # type: ignore[arg-type]
    assert seen.problems == ("service redis is Error(Exited(1))",)
    assert (seen.state, seen.is_well) == ("READY", False)
    waiting = rows(services=[{"name": "redis", "state": "Spawned"}])
    assert waiting["Services"] == "0 run or are done, 1 starting"


def test_what_keeps_a_node_from_booting_is_the_large_word() -> None:
    problem = {"code": "ZB42", "text": "the hub does not answer", "since": 1.0}
    door = DOOR | {"stage": "channel", "problems": [problem]}
    seen = look(Answers(door=door))
    assert (seen.state, seen.problems) == ("ZB42", ("ZB42  the hub does not answer",))
    assert look(Answers(door=DOOR | {"stage": "network"})).state == "STARTING"


def test_daemons_that_do_not_answer_are_named() -> None:
    seen = look(Answers())
    assert seen.problems == ("bring-up does not answer",)
    assert dict(seen.rows)["Node"] == "the identity daemon does not answer"
    assert rows(report=None)["Registry"] == "the report daemon does not answer"


def test_a_node_that_is_to_report_to_nobody_is_well() -> None:
    report: dict[str, object] = {"registry": None, "registered": False, "problems": []}
    seen = look(Answers(**ANSWERS | {"report": report}))  # type: ignore[arg-type]
    assert (dict(seen.rows)["Registry"], seen.is_well) == ("none is named", True)


def test_why_the_nodes_key_is_not_as_good_as_it_could_be_is_told() -> None:
    identity = {"node": "AKnL", "kind": "ephemeral", "why": "the machine has no TPM 2.0"}
    assert rows(identity=identity)["Key"] == "the machine has no TPM 2.0"
    assert "Key" not in rows(identity={"node": "AKnL", "kind": "tpm", "why": ""})


def test_an_update_is_told() -> None:
    update = update_row(state="watching", target="0.2.0")
    assert rows(door=DOOR | {"update": update})["Update"] == "watching: 0.2.0"
    update = update_row(state="rolling-back", target="0.2.0", reason="redis failed")
    assert rows(door=DOOR | {"update": update})["Update"] == "rolling-back: 0.2.0: redis failed"
    assert "Update" not in rows(door=DOOR | {"update": update_row()})


@pytest.mark.parametrize("bad", [7, "x", [1], {"links": 3}, {"links": [None, {"leases": 1}]}, None])
def test_answers_of_another_form_are_survived(bad: object) -> None:
    look(Answers(door={"network": bad, "problems": bad, "update": bad, "farm": bad}))
    look(Answers(facts={"capacity": bad}, load={"memory": bad, "busy": bad}))
    look(Answers(report={"problems": bad}, identity={"node": bad}, services=[{"name": bad}]))


def test_control_characters_never_reach_the_terminal() -> None:
    seen = look(Answers(services=[{"name": "\x1b[2Jx\n\x07", "state": "Error(Exited(1))"}]))
    assert all(problem.isprintable() for problem in seen.problems)


def test_units_are_upstreams() -> None:
    table = json.loads((samples_dir() / "capacity" / "node.json").read_text())["screen_units"]
    assert table
    for row in table:
        assert gigabytes(row["bytes"]) == row["screen_gb"]
        assert f"{megabytes(row['bytes'])} MB" == row["screen_mb_used"]


def test_times() -> None:
    assert duration(59) == "0 h 00 min"
    assert duration(90_061) == "1 d 1 h"
