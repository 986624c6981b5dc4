"""Reports through the routes: what is taken, what is refused, and that refusals change nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.errors import ZosError
from common.nodes.enrolment import Enrolment, make_token
from registry.errors import SettingsError
from registry.views.registry import Registry
from tests.helpers.registry.site import REGISTRATION, Node, Signer, Site, make_site


@pytest.fixture
def site() -> Site:
    found = make_site()
    found.add_farm()
    return found


def test_a_node_registers_and_reports(site: Site) -> None:
    node = site.add_node(hypervisor="kvm", serial="A1", used={"cru": 1}, gpus=[{"id": "0"}])
    site.now_s += 2400
    problem = {"code": "disk", "text": "a disk is broken", "since": 1.0}
    used = {"cru": 2, "mru": 5}
    status, said = node.report("heartbeat", {"used": used, "problems": [problem]})
    assert (status, said["interval_s"], said["doubt"]) == (200, 2400, "")
    shown = site.get(f"/api/v1/nodes/{node.id}")
    assert (shown["number"], shown["farm"], shown["sequence"], shown["reports"]) == (1, 1, 2, 2)
    assert (shown["capacity"]["cru"], shown["used"]["mru"]) == (4, 5)
    assert (shown["identity"], shown["is_enrolled"], shown["is_attested"]) == ("disk", False, False)
    assert (shown["said"]["hypervisor"], shown["problems"]) == ("kvm", [problem])
    assert node.report("shutdown")[0] == 200
    assert site.get(f"/api/v1/nodes/{node.id}")["status"] == "off"
    assert site.check().nodes == 1


def test_forged_reports_are_refused(site: Site) -> None:
    node, other = site.add_node(), site.add_node()
    payload = node.payload()
    good = json.loads(node.seal("report", payload))
    unlike = json.loads(other.seal("report", payload))
    for message in (
        {**good, "signature": unlike["signature"]},
        {**good, "key": unlike["key"]},
        {**good, "payload": unlike["payload"][:-4] + "AAAA"},
        unlike,  # well signed, by another node
        json.loads(node.seal("farm", payload)),  # of another kind
    ):
        assert node.post(json.dumps(message).encode())[0] in (403, 422), message
    assert node.post(other.seal("report", other.payload()))[0] == 403
    assert other.post(json.dumps(good).encode())[0] == 403
    assert node.post(json.dumps(good).encode())[0] == 200


def test_replayed_and_gapped_reports_are_refused(site: Site) -> None:
    node = site.add_node()
    first = node.seal("report", node.payload())
    assert node.post(first)[0] == 200
    status, said = node.post(first)
    assert (status, said["expected"]["sequence"]) == (409, 3)
    node.sequence, node.nonce = 1, said["expected"]["nonce"]
    assert node.report(sequence=5)[0] == 409
    assert node.report(sequence=3, nonce="x")[0] == 409
    assert node.report(sequence=3)[0] == 200
    assert site.get("/api/v1/log/head")["size"] == 4
    site.check()


def test_reports_of_an_earlier_boot_are_refused(site: Site) -> None:
    node = site.add_node()
    old = node.seal("report", node.payload())
    node.start()
    assert node.register()[0] == 200
    status, said = node.post(old)
    assert (status, said["expected"]["sequence"]) == (409, 1)
    assert "this boot has not reported yet, or is over" in said["detail"]


@pytest.mark.parametrize(
    ("kind", "changed", "status", "text"),
    [
        ("heartbeat", {}, 409, "first report is a registration"),
        ("register", {"farm": 9}, 404, "there is no farm 9"),
        ("register", {"sequence": 2}, 409, "1 is the next one"),
        ("register", {"sequence": 0}, 422, "sequence"),
        ("register", {"uptime_s": -1.0}, 422, "uptime_s"),
        ("register", {"sent": "now"}, 422, "sent"),
        ("register", {"boot": "x"}, 422, "boot"),
        ("register", {"boot": "x\n"}, 422, "boot"),
        ("register", {"kind": "other"}, 422, "kind"),
        ("register", {"body": {}}, 422, "capacity"),
        ("register", {"body": {**REGISTRATION, "serial": "a\0b"}}, 422, "control character"),
        ("register", {"body": {**REGISTRATION, "serial": "\ud800"}}, 422, "UTF-8"),
        ("register", {"body": {**REGISTRATION, "dmi": ["\ud800"]}}, 422, "UTF-8"),
        ("register", {"body": {**REGISTRATION, "capacity": {"cru": 2**40}}}, 422, "cru"),
        ("register", {"body": {**REGISTRATION, "capacity": {"cru": True}}}, 422, "cru"),
    ],
)
def test_bad_first_reports(
    site: Site, kind: str, changed: dict[str, Any], status: int, text: str
) -> None:
    node = site.make_node()
    fields = {"kind": kind, "body": REGISTRATION if kind == "register" else {}, **changed}
    found, said = node.report(**fields)
    assert (found, text in said["detail"]) == (status, True), said
    assert site.send("GET", f"/api/v1/nodes/{node.id}")[0] == 404
    assert node.register()[0] == 200  # nothing was spoiled
    assert site.check().nodes == 1


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"payload":1}', b"x" * 300_000])
def test_what_is_no_message_is_refused(site: Site, body: bytes) -> None:
    assert site.make_node().post(body)[0] in (413, 422)


def test_what_is_no_node_is_refused(site: Site) -> None:
    for name in ("x", "0OIl", "1" * 64, "%C3%A9"):
        assert site.send("GET", f"/api/v1/nodes/{name}/nonce")[0] in (404, 422), name


def enrol(registry: Registry) -> None:
    """Let the token N be for farm N."""

    def check(token: str) -> int:
        if not token.isdigit():
            raise ZosError("the enrolment token is not one of this server")
        return int(token)

    registry.check_token = check


def enrolment(site: Site, node: Node) -> tuple[int, bool, str]:
    shown = site.get(f"/api/v1/nodes/{node.id}")
    return shown["farm"], shown["is_enrolled"], shown["enrolment_why"]


def test_a_token_binds_a_node_to_a_farm(site: Site) -> None:
    site.add_farm("two")
    unknown = site.add_node(enrol="1")
    assert enrolment(site, unknown) == (1, False, "this registry knows no bootstrap server's key")
    enrol(site.registry)
    node, wrong, forged = (site.add_node(enrol=token) for token in ("1", "2", "x"))
    assert enrolment(site, node) == (1, True, "")
    assert enrolment(site, wrong) == (1, False, "the enrolment token is for farm 2")
    assert enrolment(site, forged)[2] == "the enrolment token is not one of this server"
    assert node.register()[0] == 200  # without a token: it has been proved
    assert enrolment(site, node) == (1, True, "")
    site.check()


def test_a_node_moves_to_another_farm_only_with_its_token(site: Site) -> None:
    site.add_farm("two")
    enrol(site.registry)
    node = site.add_node(enrol="1")
    node.farm = 2
    for status, said in (node.report(), node.register(), node.register(enrol="1")):
        assert (status, "belongs to farm 1" in said["detail"]) == (403, True)
    assert node.register(enrol="2")[0] == 200
    assert enrolment(site, node) == (2, True, "")
    assert node.report()[0] == 200
    site.check()


def test_tokens_of_several_bootstrap_servers_count(tmp_path: Path) -> None:
    keys = [Ed25519PrivateKey.generate() for _ in range(3)]
    paths = [tmp_path / f"{number}.pem" for number in range(2)]
    for key, path in zip(keys, paths, strict=False):
        form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        path.write_bytes(key.public_key().public_bytes(*form))
    site = make_site(enrolment_key=paths)
    site.add_farm()
    tokens = [make_token(key.sign, Enrolment(1, "prod", "00" * 32)) for key in keys]
    nodes = [site.add_node(enrol=token) for token in tokens]
    assert [enrolment(site, node)[1] for node in nodes] == [True, True, False]
    paths[0].write_bytes(b"x")
    with pytest.raises(SettingsError, match="no Ed25519 public key"):
        make_site(enrolment_key=paths)


def test_a_strict_registry_takes_enrolled_nodes_only() -> None:
    site = make_site(enrolled_only=True)
    site.add_farm()
    enrol(site.registry)
    status, said = site.make_node().register()
    assert (status, "takes enrolled nodes only" in said["detail"]) == (403, True)
    node = site.add_node(enrol="1")
    assert node.report()[0] == 200


def test_a_quote_is_verified_and_its_tpm_kept(site: Site) -> None:
    seen: list[tuple[str, str]] = []

    def check(quote: Any, node: str, nonce: str) -> str:
        seen.append((node, nonce))
        if "ak" not in quote:
            raise ZosError("cannot use the quote: its signature is wrong")
        return str(quote["ak"])

    assert "it has ak, attest" in attestation(site, site.add_node(quote={"ak": "a"}))[1]
    site.registry.check_quote = check
    node = site.make_node()
    nonce = node.payload()["nonce"]
    assert node.register(quote={"ak": "a"})[0] == 200
    assert seen == [(node.id, nonce)]
    assert attestation(site, node) == (True, "")
    node.register(quote={"ak": "b"})
    assert attestation(site, node) == (
        False, "another TPM than the one that the node has shown first"
    )  # fmt: skip
    node.register(quote={})
    assert attestation(site, node)[1] == "cannot use the quote: its signature is wrong"
    node.register(quote={"ak": "a"})
    assert attestation(site, node) == (True, "")
    assert "quote" not in site.get(f"/api/v1/nodes/{node.id}")["said"]
    site.check()


def attestation(site: Site, node: Node) -> tuple[bool, str]:
    shown = site.get(f"/api/v1/nodes/{node.id}")
    return shown["is_attested"], shown["attestation_why"]


def test_a_client_that_is_refused_too_often_waits() -> None:
    site = make_site(refusals_per_minute=3)
    site.add_farm()
    node = site.add_node()
    for _ in range(3):
        assert node.post(b"{}")[0] == 422
    status, said = node.report()
    assert (status, said["detail"]) == (429, "too many requests from this address")


def test_a_known_node_that_lost_an_answer_costs_its_address_nothing() -> None:
    site = make_site(refusals_per_minute=2)
    site.add_farm()
    node = site.add_node()
    for _ in range(5):
        assert node.report(sequence=9)[0] == 409
    assert node.report()[0] == 200
    for _ in range(2):
        assert site.make_node().report()[0] == 409  # nobody knows it
    assert node.report()[0] == 429


def test_a_clock_behind_the_log_is_told(site: Site) -> None:
    assert site.send("GET", "/ready")[0] == 200
    site.now_s -= 100
    status, said = site.send("GET", "/ready")
    assert (status, "the clock is 100 s behind the log" in json.dumps(said)) == (503, True)


def test_one_node_does_not_fill_the_log() -> None:
    site = make_site(node_reports_per_minute=6, node_reports_burst=3, node_bytes_per_day=20_000)
    site.add_farm()
    node, other = site.add_node(), site.add_node()
    assert [node.report()[0] for _ in range(3)] == [200, 200, 429]
    assert other.register(dmi="x" * 30_000)[0] == 429
    assert other.report()[0] == 200


def test_published_reports_use_up_nothing_of_their_node() -> None:
    site = make_site(node_reports_per_minute=0.1, node_reports_burst=3)
    site.add_farm()
    node = site.add_node()
    old = node.seal("report", node.payload())
    assert node.post(old)[0] == 200
    assert {node.post(old)[0] for _ in range(9)} == {409}
    node.sequence, node.nonce = 2, ""
    assert [node.report()[0] for _ in range(2)] == [200, 429]


def test_an_address_that_sends_published_reports_again_waits() -> None:
    site = make_site(refusals_per_minute=2)
    site.add_farm()
    node = site.add_node()
    old = node.seal("report", node.payload())
    assert node.post(old)[0] == 200
    answers = [node.post(old)[0] for _ in range(40)]
    assert (answers[:5], answers[-1]) == ([409] * 5, 429)


def test_one_address_does_not_fill_the_table() -> None:
    site = make_site(new_nodes_per_minute=2)
    site.add_farm()
    nodes = [site.make_node() for _ in range(3)]
    assert [node.register()[0] for node in nodes] == [200, 200, 429]
    assert nodes[0].report()[0] == 200


def test_a_signers_seed_makes_the_same_key_again() -> None:
    assert Signer(5).text == Signer(5).text != Signer(6).text
