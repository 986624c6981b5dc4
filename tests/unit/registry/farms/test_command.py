"""`zos registry farm` believes no registry: it signs what the owner has said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from common.errors import ZosError
from registry.commands import farm
from tests.helpers.registry.site import Farmer, Site, make_site

Run = Callable[..., Any]
URL = "http://registry.example"


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def run(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run an action by a farmer; `lie` changes what the registry says of a farm."""

    def run_as(owner: Farmer, action: str, lie: Any = None, **options: Any) -> None:
        def ask(_: str, method: str, path: str, body: bytes | None = None) -> Any:
            status, said = site.send(method, path, body or b"")
            if status >= 400:
                raise ZosError(said["detail"])
            return {**said, **lie} if lie and path.startswith("/api/v1/farms/") else said

        monkeypatch.setattr(farm, "ask", ask)
        key = tmp_path / "key.pem"
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key.write_bytes(owner.private.private_bytes(*form))
        farm.run_action({"action": action, "url": URL, "number": 1, "key": key, **options})

    return run_as


def test_a_change_keeps_what_the_owner_has_signed_only(site: Site, run: Run) -> None:
    owner, thief = site.farmer, Farmer(2)
    site.add_farm("one", public={"city": "Ghent"}, node_ca="CA")
    lie = {"owner": thief.text, "name": "x", "node_ca": "EVIL", "public": {"url": "x"}, "farm": 9}
    run(owner, "change", lie, public=["country=Belgium"])
    found = site.get("/api/v1/farms/1")
    assert (found["owner"], found["name"], found["node_ca"]) == (owner.text, "one", "CA")
    assert found["public"] == {"city": "Ghent", "country": "Belgium"}
    run(owner, "change", lie, name="two")
    assert site.get("/api/v1/farms/1")["sequence"] == 3


def test_another_key_or_farm_is_refused_before_anything_is_signed(site: Site, run: Run) -> None:
    site.add_farm("one")
    with pytest.raises(ZosError, match="farm 1 is another key's"):
        run(Farmer(2), "change", name="x")
    other = site.add_farm("two")
    assert (
        site.send("POST", "/api/v1/farms", site.farmer.message("t", farm=2, sequence=2))[0] == 200
    )
    lie = {"position": site.get(f"/api/v1/farms/{other}")["position"]}
    with pytest.raises(ZosError, match="its owner has not signed it"):
        run(site.farmer, "change", lie, name="x")


@pytest.mark.parametrize("lie", [{"position": None}, {"position": "x"}, {"position": 99}])
def test_what_is_no_farm_of_the_log_is_refused(site: Site, run: Run, lie: Any) -> None:
    site.add_farm("one")
    with pytest.raises(ZosError, match="cannot use what the registry"):
        run(site.farmer, "change", lie, name="x")


def test_of_a_farm_that_was_given_nothing_is_kept(
    site: Site, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    heir = Farmer(2)
    site.add_farm("one", node_ca="CA", public={"city": "Ghent"})
    run(site.farmer, "give", to=heir.text)
    assert json.loads(capsys.readouterr().out)["sequence"] == 2
    with pytest.raises(ZosError, match="nothing yet that this key has signed"):
        run(heir, "change", public=["city=Bruges"])
    run(heir, "change", name="mine")
    found = site.get("/api/v1/farms/1")
    assert (found["name"], found["owner"], found["node_ca"], found["public"]) == (
        "mine", heir.text, "", {}
    )  # fmt: skip
    run(heir, "give", to=site.farmer.text)
    assert site.get("/api/v1/farms/1")["owner"] == site.farmer.text
