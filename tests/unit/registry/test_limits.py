"""How much anybody may write: what is too large or too much is refused, and says what to do."""

import base64
import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.nodes.envelope import show_fields, signed_bytes
from registry.views.registry import Registry
from registry.web import farms, nodes
from serving import rates
from tests.helpers.registry.site import Farmer, Node, Site, make_site

Move = Callable[[str], None]
LARGE = "x" * 10_000


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Move:
    """Give the function that sends what follows from another address."""
    at = ["192.0.2.1"]
    for module in (farms, nodes):
        monkeypatch.setattr(module, "address_of", lambda _: at[0])

    def go(address: str) -> None:
        at[0] = address

    return go


def post(site: Site, message: bytes, **headers: str) -> tuple[int, str, str]:
    """Send a farm's message; return the status, what is wrong, and what to do."""
    status, said = site.send("POST", "/api/v1/farms", message, **headers)
    return status, said.get("detail", ""), said.get("hint", "")


def register(node: Node) -> tuple[int, str, str]:
    """Send a large registration."""
    status, said = node.register(dmi=LARGE)
    return status, said.get("detail", ""), said.get("hint", "")


def pad(owner: Farmer, count: int) -> bytes:
    """Return a farm's message with white space in its payload."""
    payload = base64.b64decode(json.loads(owner.message("one"))["payload"]) + b" " * count
    fields = show_fields(payload, owner.public, owner.private.sign(signed_bytes("farm", payload)))
    return json.dumps(fields).encode()


def enrol(registry: Registry) -> None:
    """Let every token be for farm 1."""
    registry.check_token = lambda _: 1


def test_a_farms_message_is_small() -> None:
    site = make_site()
    status, fault, hint = post(site, pad(site.farmer, 25_000))
    assert (status, fault) == (413, "more than 32768 bytes")
    assert hint == "shorten the description, or use a smaller certificate"
    assert site.get("/api/v1/log/head")["size"] == 0
    assert post(site, pad(site.farmer, 20_000))[0] == 201


def test_an_owner_changes_a_farm_so_often_a_day(move: Move) -> None:
    site = make_site(farm_messages_per_day=3)
    for sequence in range(1, 4):
        move(f"192.0.2.{sequence}")
        number = None if sequence == 1 else 1
        assert post(site, site.farmer.message("one", farm=number, sequence=sequence))[0] < 300
    move("192.0.2.9")
    found = post(site, site.farmer.message("one", farm=1, sequence=4))
    assert found == (
        429, "too many messages of this farm's owner", "3 a day are taken: try again later"
    )  # fmt: skip
    assert post(site, Farmer(2).message("two"))[0] == 201


def test_an_address_registers_so_many_farms_a_day(move: Move) -> None:
    site = make_site(farm_messages_per_day=3)
    found = [post(site, Farmer(seed).message(f"farm{seed}")) for seed in range(1, 5)]
    assert [status for status, *_ in found] == [201, 201, 201, 429]
    assert found[-1][1] == "too many messages of farms from this address"
    move("192.0.2.2")
    assert post(site, Farmer(5).message("five"))[0] == 201


def test_messages_of_the_past_use_up_nothing_of_their_farm(move: Move) -> None:
    site = make_site(farm_messages_per_day=2)
    old = site.farmer.message("one", farm=1)
    assert post(site, old)[0] == 201
    move("192.0.2.2")
    assert {post(site, old)[0] for _ in range(9)} == {409}
    assert post(site, site.farmer.message("one", farm=1, sequence=2))[0] == 200


def test_an_address_writes_so_much_without_a_token(move: Move) -> None:
    site = make_site(address_bytes_per_day=25_000)
    site.add_farm()
    enrol(site.registry)
    first, other = site.make_node(), site.make_node()
    assert (register(first)[0], register(other)[0]) == (200, 200)
    status, fault, hint = register(site.make_node())
    assert (status, fault) == (429, "too many bytes without a token from this address")
    assert hint.startswith("enrol the node: boot it from an image")
    assert register(first)[0] == 429
    assert site.add_node(enrol="1", dmi=LARGE).register(dmi=LARGE)[0] == 200  # enrolled once
    move("192.0.2.2")
    assert register(first)[0] == 200


def test_all_addresses_write_so_much_without_a_token(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "TABLE_SIZE", 2)  # more addresses than the limits remember
    site = make_site(unproven_bytes_per_day=35_000)
    site.add_farm()
    enrol(site.registry)
    addresses = (f"192.0.2.{number}" for number in itertools.count(1))
    found = []
    for address in itertools.islice(addresses, 5):
        move(address)
        found.append(register(site.make_node()))
    assert [status for status, *_ in found] == [200, 200, 200, 429, 429]
    assert found[-1][1] == "too many bytes without a token from all addresses"
    site.add_node(enrol="1", dmi=LARGE)
    assert post(site, pad(Farmer(2), 20_000))[2] == "ask the registry's operator for a token"
    token = site.registry.tokens.create("a farmer", ["farms"])
    headers = {"authorization": f"Bearer {token}"}
    assert post(site, Farmer(2).message("two"), **headers)[0] == 201


def test_the_registry_takes_so_much_in_all(move: Move) -> None:
    site = make_site(total_bytes_per_day=25_000)
    site.add_farm()
    enrol(site.registry)
    nodes = [site.make_node() for _ in range(3)]
    found = []
    for number, node in enumerate(nodes):
        move(f"192.0.2.{number}")
        found.append(node.register(enrol="1", dmi=LARGE))
    assert [status for status, _ in found] == [200, 200, 429]
    assert found[-1][1]["detail"].startswith("the registry has taken as many bytes as it takes")
    assert post(site, pad(site.farmer, 20_000))[0] == 429
    site.check()


def test_what_is_refused_takes_nothing() -> None:
    site = make_site(node_bytes_per_day=40_000, node_reports_per_minute=6, node_reports_burst=3)
    site.add_farm()
    node = site.add_node(dmi=LARGE)
    assert {node.register(dmi="x" * 35_000)[0] for _ in range(5)} == {429}
    assert node.report()[0] == 200


def test_what_is_refused_for_want_of_a_token_leaves_room_for_the_others(move: Move) -> None:
    site = make_site(total_bytes_per_day=60_000, unproven_bytes_per_day=15_000)
    site.add_farm()
    enrol(site.registry)
    found = []
    for number in range(9):
        move(f"192.0.2.{number}")
        found.append(register(site.make_node())[0])
    assert found == [200, *[429] * 8]
    assert site.add_node(enrol="1", dmi=LARGE).register(dmi=LARGE)[0] == 200


def test_messages_of_farms_that_come_at_once_count_each(move: Move) -> None:
    site = make_site(farm_messages_per_day=3)
    messages = [Farmer(seed).message(f"farm{seed}") for seed in range(1, 10)]
    with ThreadPoolExecutor(9) as pool:
        found = sorted(status for status, *_ in pool.map(lambda one: post(site, one), messages))
    assert found == [201] * 3 + [429] * 6
