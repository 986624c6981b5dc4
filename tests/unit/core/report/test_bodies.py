"""What reports say is cut to what the registry takes."""

import json
from typing import Any

from core.report.bodies import (
    DMI_BYTES,
    fit_dmi,
    heartbeat_body,
    problem,
    register_body,
    resources,
)

FACTS: dict[str, Any] = {
    "capacity": {"cru": 4, "mru": 100, "sru": 5, "hru": 0, "ipv4u": 0},
    "used": {"cru": 0, "mru": 10},
    "free": {"cru": 4},
    "interfaces": [{"name": "eth0", "mac": "52:54:00:00:00:01", "addresses": ["10.0.0.2"]}],
    "dmi": {"tooling": {}, "sections": []},
    "hypervisor": "kvm",
    "virtualized": True,
    "secure_boot": False,
    "serial": "s" * 500,
    "gpus": [],
}
STATUS = {
    "release": "1.set",
    "boot_version": "1",
    "run_mode": "dev",
    "problems": [{"code": "hub", "text": "t" * 900, "since": 5}, "odd", {}],
}


def test_a_registration_says_everything() -> None:
    body = register_body(FACTS, STATUS, {"kind": "tpm"}, "token", None, "6.12")
    assert body["capacity"] == FACTS["capacity"]
    assert body["used"] == {"cru": 0, "mru": 10, "sru": 0, "hru": 0, "ipv4u": 0}
    assert body["release"] == {
        "version": "1.set",
        "boot_version": "1",
        "kernel": "6.12",
        "run_mode": "dev",
    }
    assert body["api"] == {"port": 7443, "addresses": ["10.0.0.2"]}
    assert (body["identity"], body["enrol"], body["quote"]) == ("tpm", "token", None)
    assert len(body["serial"]) == 100
    codes = [(item["code"], len(item["text"]), item["since"]) for item in body["problems"]]
    assert codes == [("hub", 500, 5.0), ("unknown", 0, None)]


def test_a_node_whose_bring_up_does_not_answer_still_reports() -> None:
    body = heartbeat_body({"mru": 1}, {}, [problem("clock", "off")], "6.12")
    assert body["release"]["version"] == ""
    assert [item["code"] for item in body["problems"]] == ["clock"]
    assert body["used"]["mru"] == 1


def test_no_amounts_are_nothing() -> None:
    assert set(resources(None).values()) == {0}


def test_a_long_description_loses_what_matters_least() -> None:
    def section(kind: int, size: int) -> dict[str, Any]:
        return {"typenum": kind, "text": "x" * size}

    sections = [section(200, 30_000), section(9, 30_000), section(1, 10_000), section(17, 5_000)]
    kept = fit_dmi({"tooling": {"decoder": "x"}, "sections": sections})
    assert [item["typenum"] for item in kept["sections"]] == [200, 1, 17]
    assert len(json.dumps(kept)) < DMI_BYTES + 200
    assert kept["tooling"] == {"decoder": "x"}
