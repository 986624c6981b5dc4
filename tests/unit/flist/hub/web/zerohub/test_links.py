"""Links, tags, promotion, renaming: what they do, whom they give nothing to."""

import hashlib
import itertools
import json
from pathlib import Path

import pytest

from tests.helpers.flist.hub import LocalHub, make_hub
from tests.helpers.flist.zerohub import ME, change, make_flist, publish, read


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    """A hub on which alice has two flists and bob has one."""
    hub = make_hub(tmp_path / "hub")
    work = tmp_path / "work"
    work.mkdir()
    publish(hub, "alice/app.fl", make_flist(work, hub, {"bin/app": "one"}), "alice")
    publish(hub, "alice/lib.fl", make_flist(work, hub, {"lib/x": "two"}), "alice")
    publish(hub, "bob/doc.fl", make_flist(work, hub, {"doc": "three"}), "bob")
    return hub


def rows(hub: LocalHub, path: str, user: str = "") -> dict[str, tuple[str, str]]:
    """Return type and target of each row of a listing."""
    found = read(hub, f"/api/flist/{path}", user)
    return {row["name"]: (row["type"], row.get("target", "")) for row in found}


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_link_leads_to_a_flist_and_may_be_led_to_another(hub: LocalHub, method: str) -> None:
    assert change(hub, "app/link/current", "alice", method).status == 200
    assert rows(hub, "alice")["current.fl"] == ("symlink", "app.fl")
    app, lib = (hub.send("GET", f"/alice/{name}.fl").body for name in ("app", "lib"))
    assert hub.send("GET", "/alice/current.fl").body == app
    assert change(hub, "lib/link/current.fl", "alice", method).status == 200
    assert hub.send("GET", "/alice/current.fl").body == lib


def test_a_crosslink_of_a_link_is_followed(hub: LocalHub) -> None:
    assert change(hub, "app/link/current", "alice").status == 200
    assert change(hub, "theirs/crosslink/alice/current", "bob").status == 200
    assert rows(hub, "bob")["theirs.fl"] == ("symlink", "alice/current.fl")
    light = read(hub, "/api/flist/bob/theirs/light")
    assert (light["type"], light["target"]) == ("symlink", "../alice/current.fl")
    assert light["md5"] == read(hub, "/api/flist/alice/app/light")["md5"]


def test_links_never_lead_in_a_circle(hub: LocalHub) -> None:
    assert change(hub, "app/link/a", "alice").status == 200
    assert change(hub, "a/link/b", "alice").status == 200
    for path in ("b/link/a", "a/link/a"):
        answer = change(hub, path, "alice")
        assert answer.status == 409, answer.text
    assert rows(hub, "alice")["a.fl"] == ("symlink", "app.fl")


def test_a_chain_that_is_too_long_is_refused(hub: LocalHub) -> None:
    names = ["app", *(f"l{number}" for number in range(12))]
    statuses = [
        change(hub, f"{old}/link/{new}", "alice").status for old, new in itertools.pairwise(names)
    ]
    done = statuses.count(200)
    assert statuses[:done] == [200] * done
    assert set(statuses[done:]) <= {404, 409}
    assert hub.send("GET", f"/alice/l{done - 1}.fl").status == 200


def test_conflicts_are_told_as_such(hub: LocalHub) -> None:
    for path, user in (
        ("app/link/lib", "alice"),
        ("doc/crosslink/alice/app", "bob"),
        ("app/rename/lib", "alice"),
    ):
        answer = change(hub, path, user)
        assert (answer.status, json.loads(answer.body)["status"]) == (409, "error")
    assert change(hub, "v1/a/tag/alice/app", "bob").status == 200
    assert change(hub, "lib/crosstag/bob/v1", "alice").status == 409
    assert change(hub, "x.flist/crosstag/bob/v1", "alice").status == 422


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("x/crosslink/nobody/app", "source repository not found"),
        ("x/crosslink/alice/nothing", "source not found"),
        ("nothing/link/x", "source not found"),
        ("v1/x/tag/nobody/app", "source repository not found"),
        ("x/crosstag/alice/nothing", "source tag not found"),
        ("promote/nobody/app/x", "user not found"),
        ("promote/alice/nothing/x", "source not found"),
        ("nothing/rename/x", "source not found"),
    ],
)
def test_what_is_not_there_is_named(hub: LocalHub, path: str, message: str) -> None:
    answer = change(hub, path, "bob")
    assert answer.status == 404
    assert json.loads(answer.body) == {"status": "error", "message": message}


def test_a_tag_exists_as_long_as_there_is_a_link_in_it(hub: LocalHub) -> None:
    assert change(hub, "v1/a/tag/alice/app", "bob").status == 200
    assert change(hub, "v1/b/tag/alice/lib", "bob").status == 200
    assert rows(hub, "bob")["v1"] == ("tag", "")
    assert rows(hub, "bob/tags/v1") == {
        "a.fl": ("symlink", "alice/app.fl"),
        "b.fl": ("symlink", "alice/lib.fl"),
    }
    assert hub.send("GET", "/bob/tags/v1/a.fl").body == hub.send("GET", "/alice/app.fl").body
    assert change(hub, "stable/crosstag/bob/v1", "alice").status == 200
    assert read(hub, "/api/flist/alice/stable/taglink") == {"target": "bob/tags/v1"}
    assert rows(hub, "alice")["stable"] == ("taglink", "bob/tags/v1")
    assert change(hub, "v1/c/tag/alice/lib", "bob", "DELETE").status == 404
    for name in "ab":
        assert change(hub, f"v1/{name}/tag/alice/app", "bob", "DELETE").status == 200
    assert hub.send("GET", "/api/flist/bob/tags/v1").status == 404
    assert change(hub, "stable", "alice", "DELETE").status == 200
    assert hub.send("GET", "/api/flist/alice/stable/taglink").status == 404


def test_renaming_keeps_versions_and_leaves_links_dangling(hub: LocalHub, tmp_path: Path) -> None:
    new = make_flist(tmp_path / "work", hub, {"bin/app": "newer"})
    old = hub.send("GET", "/alice/app.fl").body
    publish(hub, "alice/app.fl", new, "alice")
    assert change(hub, "app/link/current", "alice").status == 200
    assert change(hub, "app/rename/app2", "alice").status == 200
    versions = read(hub, "/api/v1/fl/history/alice/app2.fl")
    assert len(json.dumps(versions).split('"digest"')) == 3
    assert hub.send("GET", "/alice/app2.fl").body == new != old
    for path in ("", "/metadata", "/light"):
        assert hub.send("GET", f"/api/flist/alice/current{path}").status == 404
    assert hub.send("GET", "/alice/current.fl").status == 404
    assert change(hub, "promote/alice/current/x", "bob").status == 404
    assert rows(hub, "alice")["current.fl"] == ("symlink", "app.fl")
    assert change(hub, "current", "alice", "DELETE").status == 200
    assert change(hub, "app2/rename/app2.fl", "alice").status == 200


def test_a_promoted_flist_is_a_copy(hub: LocalHub) -> None:
    answer = change(hub, "promote/alice/app/mine", "bob")
    assert json.loads(answer.body)["payload"] == {
        "source": {"username": "alice", "filename": "app.fl"},
        "destination": {"username": "bob", "filename": "mine.fl"},
    }
    data = hub.send("GET", "/alice/app.fl").body
    assert change(hub, "app", "alice", "DELETE").status == 200
    assert hub.send("GET", "/bob/mine.fl").body == data


def test_a_link_gives_nobody_a_right(hub: LocalHub, tmp_path: Path) -> None:
    alice = hub.viewer("alice")
    hub.hub.repositories.create(alice, "secret", is_private=True)
    secret = make_flist(tmp_path / "work", hub, {"s": "a secret"})
    publish(hub, "secret/s.fl", secret, "alice")
    for path in ("x/crosslink/secret/s", "v1/x/tag/secret/s", "promote/secret/s/x"):
        assert change(hub, path, "bob").status == 404
    assert change(hub, "open/crosslink/secret/s", "alice").status == 200
    assert change(hub, "v1/open/tag/secret/s", "alice").status == 200
    for path in (
        "/alice/open.fl", "/alice/tags/v1/open.fl", "/alice/open.fl.md5", "/alice/open.txt",
        "/api/flist/alice/open", "/api/flist/alice/open/light", "/api/flist/alice/open/metadata",
        "/api/flist/secret", "/api/flist/secret/s", "/api/flist/secret/s/light",
    ):  # fmt: skip
        for user in ("", "bob"):
            assert hub.send("GET", path, user=user).status == 404, path
    assert hub.send("GET", "/alice/open.fl", user="alice").body == secret
    for path in ("/api/repositories", "/api/flist", "/api/fileslist"):
        assert "secret/s.fl" not in json.dumps(read(hub, path))
        assert "secret" in json.dumps(read(hub, path, "alice"))


def test_another_account_changes_nothing(hub: LocalHub) -> None:
    for method, path in (
        ("DELETE", "/api/flist/alice/app"), ("PUT", "/api/flist/alice/app"),
        ("POST", "/api/flist/alice/app"),
    ):  # fmt: skip
        assert hub.send(method, path, user="bob").status == 405
    assert change(hub, "app", "bob", "DELETE").status == 404
    assert hub.send("GET", "/alice/app.fl").status == 200


def test_a_change_needs_a_token(hub: LocalHub) -> None:
    for method, path in (
        ("GET", "app/link/x"), ("PUT", "app/link/x"), ("GET", "x/crosslink/bob/doc"),
        ("GET", "x/crosstag/bob/v1"), ("GET", "app/rename/x"), ("GET", "promote/bob/doc/x"),
        ("GET", "v1/x/tag/bob/doc"), ("DELETE", "v1/x/tag/bob/doc"), ("DELETE", "app"),
        ("GET", ""), ("GET", "app"),
    ):  # fmt: skip
        answer = hub.send(method, f"{ME}/{path}".rstrip("/"))
        assert answer.status == 401, path
        assert json.loads(answer.body)["message"] == "no authorization provided"
    assert set(rows(hub, "alice")) == {"app.fl", "lib.fl"}


def test_absurd_names_are_refused(hub: LocalHub) -> None:
    for name in ("..", ".", ".x", "a%2f..%2fb", "x" * 300, "%00", "a%20b", "%ff"):
        for path in (f"app/link/{name}", f"app/rename/{name}", f"{name}/crosslink/bob/doc",
                     f"promote/bob/doc/{name}", f"{name}/a/tag/bob/doc", f"v1/{name}/tag/bob/doc",
                     f"{name}/crosstag/bob/v1"):  # fmt: skip
            assert 400 <= change(hub, path, "alice").status < 500, path
    assert set(rows(hub, "alice")) == {"app.fl", "lib.fl"}


def test_a_flist_that_is_promoted_into_a_private_repository_may_be_removed_from_a_public_one(
    hub: LocalHub,
) -> None:
    """What is left of it in the public repository must not keep it open."""
    data = hub.send("GET", "/alice/app.fl").body
    digest = hashlib.sha256(data).hexdigest()
    assert change(hub, "promote/alice/app/app", "bob").status == 200
    bob = hub.viewer("bob")
    hub.hub.repositories.change(bob, "bob", is_private=True)
    assert hub.send("GET", f"/objects/{digest}").status == 200
    assert change(hub, "app", "alice", "DELETE").status == 200
    assert hub.send("GET", f"/objects/{digest}").status == 404
    assert hub.send("GET", "/bob/app.fl", user="bob").body == data
