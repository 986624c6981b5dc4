"""Farms: who may register and change them."""

from typing import Any

import pytest

from tests.helpers.registry.site import Farmer, Site, make_site


def post(site: Site, message: bytes, **headers: str) -> tuple[int, Any]:
    return site.send("POST", "/api/v1/farms", message, **headers)


def test_a_farm_gets_the_number_it_names_or_the_next() -> None:
    site = make_site()
    assert [site.add_farm("one"), site.add_farm("seven", farm=7), site.add_farm("eight")] == [
        1,
        7,
        8,
    ]
    assert site.add_farm("last", farm=2**32 - 1) == 2**32 - 1
    assert site.add_farm("nine") == 9
    assert site.check().farms == 5


def test_no_number_that_a_farm_names_ends_the_automatic_ones() -> None:
    site = make_site()
    site.add_farm("high", farm=2**31 - 1)
    assert [site.add_farm(name) for name in ("a", "b")] == [1, 2]
    site.add_farm("next", farm=2**31 - 2)
    assert site.add_farm("c") == 3
    assert site.check().farms == 5


def test_the_owner_changes_it_and_nobody_else() -> None:
    site = make_site()
    owner, other = site.farmer, Farmer(2)
    site.add_farm("one", public={"country": "Belgium", "latitude": 51.0})
    change = owner.message("uno", farm=1, sequence=2, public={"city": "Ghent"})
    assert post(site, other.message("uno", farm=1, sequence=2))[0] == 403
    status, said = post(site, change)
    assert (status, said["sequence"]) == (200, 2)
    status, said = post(site, change)
    assert (status, said["expected"]) == (409, {"sequence": 3})
    assert post(site, owner.message("uno", farm=1, sequence=4))[0] == 409
    farm = site.get("/api/v1/farms/1")
    assert (farm["name"], farm["public"], farm["owner"]) == ("uno", {"city": "Ghent"}, owner.text)
    site.check()


def test_the_owner_gives_it_to_another_key() -> None:
    site = make_site()
    owner, heir = site.farmer, Farmer(2)
    site.add_farm()
    assert post(site, owner.message("one", farm=1, sequence=2, owner=heir.text))[0] == 200
    assert post(site, owner.message("one", farm=1, sequence=3))[0] == 403
    assert post(site, heir.message("one", farm=1, sequence=3))[0] == 200
    site.check()


@pytest.mark.parametrize(
    ("changed", "status", "text"),
    [
        ({"sequence": 2}, 409, "1 is the next one"),
        ({"name": "ONE"}, 409, "another farm has the name"),
        ({"name": "a b"}, 422, "cannot be a farm's name"),
        ({"name": ""}, 422, "cannot be a farm's name"),
        ({"farm": 0}, 422, "farm"),
        ({"farm": 2**32}, 422, "farm"),
        ({"owner": "AAAA"}, 422, "no Ed25519 public key"),
        ({"owner": Farmer(9).text}, 403, "a new farm's owner signs it"),
        ({"public": {"latitude": 91.0}}, 422, "latitude"),
        ({"public": {"other": 1}}, 422, "other"),
        ({"public": {"city": "\0"}}, 422, "control character"),
        ({"surplus": 1}, 422, "surplus"),
    ],
)
def test_bad_farms(changed: dict[str, Any], status: int, text: str) -> None:
    site = make_site()
    site.add_farm("one")
    fields = {"name": "two", **changed}
    found, said = post(site, site.farmer.message(**fields))
    assert (found, text in said["detail"]) == (status, True), said
    assert site.get("/api/v1/log/head")["size"] == 1


def test_the_operator_decides_who_registers() -> None:
    closed, by_token = make_site(farms="closed"), make_site(farms="token")
    token = by_token.registry.tokens.create("a farmer", ["farms"])
    message = by_token.farmer.message("one")
    for site in (closed, by_token):
        assert post(site, message)[0] == 403
    assert post(by_token, message, authorization="Bearer wrong")[0] == 401
    assert post(by_token, message, authorization=f"Bearer {token}")[0] == 201
    assert post(by_token, by_token.farmer.message("uno", farm=1, sequence=2))[0] == 200
