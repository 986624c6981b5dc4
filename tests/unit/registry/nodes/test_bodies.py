"""What the daemon of a node reports is what the registry takes."""

from typing import Any

import pytest

from core.report.bodies import heartbeat_body, problem, register_body
from tests.helpers.registry.site import make_site

LONG = "x" * 5000
FULL: dict[str, Any] = {
    "capacity": {"cru": 8, "mru": 1 << 34, "sru": 1 << 40, "hru": 0, "ipv4u": 0},
    "used": {"cru": 0, "mru": 1 << 31},
    "interfaces": [{"name": "zos", "mac": "52:54:00:12:34:56", "addresses": ["10.0.2.15/24"]}],
    "dmi": {"tooling": {}, "sections": [{"typenum": 0, "typestr": LONG}]},
    "hypervisor": LONG, "virtualized": True, "secure_boot": True, "serial": LONG,
    "gpus": [{"id": "0000:01:00.0/10de/2204", "vendor": "10de", "device": "2204"}],
}  # fmt: skip
STATUS = {"release": LONG, "run_mode": "prod", "problems": [{"code": "a", "text": LONG}]}


@pytest.mark.parametrize(("facts", "status"), [({}, {}), (FULL, STATUS)])
def test_bodies_are_taken(facts: dict[str, Any], status: dict[str, Any]) -> None:
    site = make_site()
    site.add_farm()
    node = site.make_node()
    body = register_body(facts, status, {"kind": "tpm"}, "token", None, "6.12")
    assert node.report("register", body)[0] == 200
    body = heartbeat_body({"cru": 1}, status, [problem("clock", "it is wrong", 1.0)], "6.12")
    assert node.report("heartbeat", body)[0] == 200
    shown = site.get(f"/api/v1/nodes/{node.id}")
    assert (shown["identity"], shown["used"]["cru"]) == ("tpm", 1)
    assert shown["problems"][-1]["code"] == "clock"
