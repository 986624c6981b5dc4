"""Uploads and merges: what comes out, what is refused, and that nothing stays of that."""

import gzip
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from flist.archive import limits
from flist.format.opening import open_flist
from flist.hub.errors import InvalidError
from flist.hub.jobs.jobs import Jobs
from flist.hub.state.blocks import Blocks
from flist.hub.state.tables import BLOCKS, ENTRIES, OBJECTS
from flist.hub.state.viewer import SCOPES, Viewer
from flist.hub.web.zerohub.building import Builder
from tests.helpers.asgi import Answer, send_together
from tests.helpers.flist.hub import LocalHub, make_hub
from tests.helpers.flist.zerohub import (
    FORM,
    ME,
    encode_form,
    make_flist,
    make_tar,
    member,
    publish,
    read,
    send_form,
)

LIMIT = 2 << 20


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> Iterator[LocalHub]:
    """Give a hub; in the end, nothing that has arrived is left over."""
    hub = make_hub(
        tmp_path / "hub", max_file_bytes=LIMIT, max_archive_bytes=4 * LIMIT,
        public_store="zdb://zdb.example:9900/space",
    )  # fmt: skip
    yield hub
    assert list(hub.hub.contents.arriving.iterdir()) == []
    hub.hub.close()


def upload(hub: LocalHub, data: bytes, name: str = "app.tar.gz", query: str = "") -> Answer:
    """Upload an archive as alice."""
    return send_form(hub, f"{ME}/upload{query}", encode_form({}, name, data))


def payload(answer: Answer) -> Any:
    """Return what a success carries."""
    assert answer.status == 200, answer.text
    return json.loads(answer.body)["payload"]


def count(hub: LocalHub) -> list[int]:
    """Return how many entries and objects there are."""
    with hub.hub.database.reading() as connection:
        return [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (ENTRIES, OBJECTS)
        ]


TREE = make_tar([
    (member("bin", tarfile.DIRTYPE), b""),
    (member("bin/app"), b"#!/bin/sh\n"),
    (member("app", tarfile.SYMTYPE, "bin/app"), b""),
    (member("pipe", tarfile.FIFOTYPE), b""),
    (member(".README.md"), b"# An app\n"),
])  # fmt: skip


@pytest.mark.parametrize(("query", "name"), [("", "app.flist"), ("?format=fl", "app.fl")])
def test_an_archive_becomes_a_flist_of_either_format(
    hub: LocalHub, tmp_path: Path, query: str, name: str
) -> None:
    said = payload(upload(hub, TREE, query=query))
    counts = {"regular": 2, "symlink": 1, "directory": 1, "special": 1, "failure": 0,
              "fullsize": 19}  # fmt: skip
    assert said == {
        "name": name,
        "files": {"success": True, "error": None, "response": counts, "status": 0},
    }
    listing = read(hub, "/api/flist/alice/app")
    assert {row["path"] for row in listing["content"]} == {
        "/bin", "/bin/app", "/app", "/pipe", "/.README.md",
    }  # fmt: skip
    metadata = read(hub, "/api/flist/alice/app/metadata")
    assert metadata["readme"] == {"readme": "# An app\n"}
    assert metadata["backend"] == {"host": "zdb.example", "port": 9900, "namespace": "space"}
    place = tmp_path / name
    place.write_bytes(hub.send("GET", f"/alice/{name}").body)
    with open_flist(place) as flist:
        assert [route.url for route in flist.routes()] == ["zdb://zdb.example:9900/space"]
        for _, block in flist.all_blocks():
            assert hub.send("GET", f"/blocks/{block.id.hex()}").status == 200


def test_free_metadata_is_kept_and_protected_is_not(hub: LocalHub) -> None:
    fields = {"metadata-licence": "MIT", "metadata-backend": "{}", "metadata-readme": "x", "a": "b"}
    payload(send_form(hub, f"{ME}/upload", encode_form(fields, "app.tar.gz", TREE)))
    metadata = read(hub, "/api/flist/alice/app/metadata")
    assert set(metadata) == {"backend", "readme", "licence"}
    assert metadata["licence"] == "MIT"
    assert metadata["readme"] == {"readme": "# An app\n"}


def test_another_upload_replaces_and_keeps_the_version(hub: LocalHub) -> None:
    payload(upload(hub, TREE))
    first = hub.send("GET", "/alice/app.flist").body
    payload(upload(hub, make_tar([(member("other"), b"other")])))
    assert hub.send("GET", "/alice/app.flist").body != first
    versions = read(hub, "/api/v1/fl/history/alice/app.flist")
    assert len(json.dumps(versions).split('"digest"')) == 3


HOSTILE = {
    "parent": make_tar([(member("../../evil"), b"x")]),
    "inner parent": make_tar([(member("a/../../evil"), b"x")]),
    "through a link": make_tar([
        (member("link", tarfile.SYMTYPE, "/etc"), b""), (member("link/evil"), b"x"),
    ]),
    "hard link out": make_tar([(member("h", tarfile.LNKTYPE, "../../etc/passwd"), b"")]),
    "hard link to nothing": make_tar([(member("h", tarfile.LNKTYPE, "nothing"), b"")]),
    "cut off": TREE[: len(TREE) // 2],
    "no archive": b"this is no archive",
    "empty": make_tar([]),
    "nothing": b"",
    "gzip of nothing": gzip.compress(b""),
    "not its checksum": TREE[:-8] + bytes(8),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_or_stays_inside(hub: LocalHub, kind: str) -> None:
    answer = upload(hub, HOSTILE[kind])
    assert str(hub.root) not in answer.text
    if answer.status == 200:
        rows = read(hub, "/api/flist/alice/app")["content"]
        assert all(".." not in row["path"].split("/") for row in rows)
        return
    assert answer.status in (400, 422)
    assert json.loads(answer.body)["status"] == "error"
    assert count(hub) == [0, 0]


def test_a_bomb_is_refused_by_its_size(hub: LocalHub) -> None:
    bomb = make_tar([(member("zeros"), bytes(5 * LIMIT))])
    assert len(bomb) < LIMIT // 8
    assert upload(hub, bomb).status == 422
    assert count(hub) == [0, 0]


def test_a_bomb_is_refused_by_its_ratio(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RATIO_FREE_BYTES", 1 << 16)
    assert upload(hub, make_tar([(member("zeros"), bytes(LIMIT))])).status == 422
    assert count(hub) == [0, 0]


def test_archives_do_not_keep_other_uploads_waiting(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there are threads for uploads are packed until a block has arrived."""
    has_arrived, seen = threading.Event(), []
    put = Blocks.put

    def build(*_words: object) -> None:
        seen.append(has_arrived.wait(10))
        raise InvalidError("enough")

    def put_and_tell(*words: Any, **named: Any) -> bool:
        is_new = put(*words, **named)
        has_arrived.set()
        return is_new

    monkeypatch.setattr(Builder, "build_archive", build)
    monkeypatch.setattr(Blocks, "put", put_and_tell)
    token = {"authorization": f"Bearer {hub.tokens['alice']}"}
    archive = (f"{ME}/upload", encode_form({}, "app.tar.gz", TREE), {**token, "content-type": FORM})
    count_threads = hub.hub.settings.upload_threads
    answers = send_together(hub.app, [archive] * count_threads + [("/api/v1/block", b"b", token)])
    assert [answer.status for answer in answers] == [422] * count_threads + [201]
    assert all(seen)


def test_an_archive_beyond_the_limit_is_refused(hub: LocalHub) -> None:
    assert upload(hub, bytes(LIMIT + 1)).status == 413
    assert count(hub) == [0, 0]


def test_a_half_upload_leaves_nothing(hub: LocalHub) -> None:
    body = encode_form({}, "app.tar.gz", TREE)
    for cut in (10, len(body) // 2, len(body) - 5):
        assert send_form(hub, f"{ME}/upload", body[:cut]).status == 400
    assert count(hub) == [0, 0]
    with hub.hub.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(BLOCKS)).scalar() == 0


def test_a_flist_is_taken_if_its_blocks_are_there_and_readable(
    hub: LocalHub, tmp_path: Path
) -> None:
    payload(upload(hub, TREE))
    data = hub.send("GET", "/alice/app.flist").body
    said = payload(send_form(hub, f"{ME}/upload-flist", encode_form({}, "x.flist", data), "bob"))
    assert said["name"] == "x.flist"
    assert said["files"]["response"]["regular"] == 2
    assert hub.send("GET", "/bob/x.flist").body == data
    (tmp_path / "w").mkdir()
    other = make_hub(tmp_path / "other")
    foreign = make_flist(tmp_path / "w", other, {"a": "never seen here"})
    answer = send_form(hub, f"{ME}/upload-flist", encode_form({}, "y.fl", foreign), "bob")
    assert answer.status == 422
    assert "unauthorized upload, contents is not fully present on backend" in answer.text
    for name, data in (("z.flist", b"garbage"), ("z.flist", b""), ("z.fl", TREE)):
        answer = send_form(hub, f"{ME}/upload-flist", encode_form({}, name, data), "bob")
        assert answer.status == 422
        assert str(hub.root) not in answer.text
    other.hub.close()


def test_blocks_of_a_private_flist_cannot_be_claimed_by_naming_them(hub: LocalHub) -> None:
    alice = hub.viewer("alice")
    hub.hub.repositories.create(alice, "alice", is_private=True)
    payload(upload(hub, TREE))
    data = hub.send("GET", "/alice/app.flist", user="alice").body
    answer = send_form(hub, f"{ME}/upload-flist", encode_form({}, "x.flist", data), "bob")
    assert answer.status == 422
    assert hub.send("GET", "/alice/app.flist").status == 404


def test_the_first_source_of_a_merge_wins(hub: LocalHub) -> None:
    one = make_tar([(member("a"), b"1"), (member("b"), b"1")])
    two = make_tar([(member("b"), b"22"), (member("c"), b"22")])
    payload(upload(hub, one, "one.tar.gz"))
    payload(upload(hub, two, "two.tar.gz"))
    for order, sizes in (
        (["alice/one", "alice/two.flist"], {"/a": 1, "/b": 1, "/c": 2}),
        (["alice/two", "alice/one"], {"/a": 1, "/b": 2, "/c": 2}),
        (["alice/two", "alice/two"], {"/b": 2, "/c": 2}),
    ):
        assert hub.send("POST", f"{ME}/merge/both", order, user="bob").status == 200
        rows = read(hub, "/api/flist/bob/both")["content"]
        assert {row["path"]: row["size"] for row in rows} == sizes


def test_a_merge_keeps_the_format_of_its_sources(hub: LocalHub, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    publish(hub, "alice/new.fl", make_flist(tmp_path / "w", hub, {"n": "new"}), "alice")
    payload(upload(hub, TREE))
    assert hub.send("POST", f"{ME}/merge/x", ["alice/new"], user="alice").status == 200
    assert hub.send("GET", "/alice/x.fl").status == 200
    answer = hub.send("POST", f"{ME}/merge/y", ["alice/new", "alice/app"], user="alice")
    assert (answer.status, json.loads(answer.body)["status"]) == (422, "error")
    assert str(hub.root) not in answer.text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "no source found"),
        ({"a": 1}, "malformed json request"),
        (b"[", "malformed json request"),
        (b"[" * 100_000, "malformed json request"),
        ([1], "malformed source filename"),
        (["app"], "malformed source filename"),
        (["a/b/c"], "malformed source filename"),
        (["alice/"], "malformed source filename"),
        (["alice/nothing"], "alice/nothing.flist does not exists"),
        (["../alice"], "../alice.flist does not exists"),
        (["alice/app"] * 65, "more than 64 sources"),
    ],
)
def test_a_merge_of_something_else_is_refused(
    hub: LocalHub, body: bytes | object, message: str
) -> None:
    answer = hub.send("POST", f"{ME}/merge/x", body, user="alice")
    assert answer.status in (400, 404)
    assert json.loads(answer.body) == {"status": "error", "message": message}


def test_a_token_for_one_private_repository_uploads_an_archive(hub: LocalHub) -> None:
    """And still names nothing else that the account has uploaded."""
    hub.hub.repositories.create(hub.viewer("alice"), "alice", is_private=True)
    account = hub.hub.accounts.find("alice")
    hub.tokens["ci"] = hub.hub.tokens.create(account, "ci", SCOPES[:3], repository="alice")
    data = make_tar([(member("file"), b"of the archive\n" * 5000)])
    answer = send_form(hub, f"{ME}/upload", encode_form({}, "app.tar.gz", data), user="ci")
    payload(answer)
    hub.hub.repositories.create(hub.viewer("alice"), "other", is_private=True)
    assert hub.send("GET", "/alice/app.flist", user="ci").status == 200
    secret = make_flist(hub.root.parent, hub, {"file": "of the other\n" * 5000})
    assert hub.send("PUT", "/other/secret.fl", secret, user="alice").status == 201
    assert hub.send("PUT", "/alice/secret.fl", secret, user="ci").status == 422


class Converted(Jobs):
    """Jobs of which each has ended when it is accepted."""

    def submit(self, viewer: Viewer, kind: str, spec: dict[str, Any], **_more: Any) -> str:
        """Note the job as done, or as failed if its image has a bad name."""
        number = super().submit(viewer, kind, spec)
        is_bad = "bad" in spec["image"]
        self.finish(number, "failed" if is_bad else "done", "no such image", spec)
        return number


def test_an_image_is_converted_by_a_job(hub: LocalHub) -> None:
    hub.hub.jobs = Converted(hub.hub, {}, 1)  # which never begins
    for fields in ({}, {"image": ""}):
        answer = send_form(hub, f"{ME}/docker", encode_form(fields, None))
        assert answer.status == 400
        assert json.loads(answer.body)["message"] == "missing docker image name"
    done = payload(send_form(hub, f"{ME}/docker", encode_form({"image": "busybox"}, None)))
    assert done["name"] == "busybox.fl"
    for image, message in (("bad", "no such image"), ("A B", ""), ("x" * 501, "too long")):
        answer = send_form(hub, f"{ME}/docker", encode_form({"image": image}, None))
        assert answer.status == 422
        assert message in json.loads(answer.body)["message"]
    form = encode_form({"docker-input": "busybox"}, None)
    answer = send_form(hub, "/docker-convert", form)
    assert answer.status == 303
    job = answer.headers["location"].removeprefix("/-/jobs/")
    heard = hub.send("GET", f"/listen/{job}", user="alice")
    assert (heard.status, heard.headers["location"]) == (307, f"/api/v1/jobs/{job}/events")
    assert hub.send("GET", f"/listen/{job}", user="bob").status == 404


def test_events_of_an_upload_are_heard_once_and_by_its_user(hub: LocalHub) -> None:
    answer = send_form(hub, "/upload", encode_form({}, "app.tar.gz", TREE))
    job = json.loads(answer.body)["jobid"]
    assert hub.send("GET", f"/listen/{job}", user="bob").status == 404
    assert hub.send("GET", f"/listen/{job}").status == 404
    heard = hub.send("GET", f"/listen/{job}", user="alice")
    events = [json.loads(text[6:]) for text in heard.text.split("\n\n") if text]
    assert events[0] == {"status": "update", "message": "Image ready !", "progress": 100}
    assert events[1]["info"]["filename"] == "app.flist"
    assert hub.send("GET", f"/listen/{job}", user="alice").status == 404


def test_a_hub_that_is_read_only_takes_nothing(tmp_path: Path) -> None:
    hub = make_hub(tmp_path / "hub", read_only=True)
    for path in (f"{ME}/upload", f"{ME}/upload-flist", f"{ME}/docker"):
        answer = send_form(hub, path, encode_form({}, "app.tar.gz", TREE))
        assert (answer.status, json.loads(answer.body)["message"]) == (403, "readonly mode")
    for path in ("/upload", "/upload-flist", "/merge", "/docker-convert"):
        answer = send_form(hub, path, encode_form({}, "app.tar.gz", TREE))
        assert (answer.status, answer.headers["location"]) == (302, "/readonly")
    assert hub.send("GET", "/readonly").status == 200
    for method, path in (("PUT", "/alice/x.fl"), ("POST", "/api/v1/block"),
                         ("POST", "/api/v1/file"), ("DELETE", "/alice/x.fl")):  # fmt: skip
        assert hub.send(method, path, b"x", user="alice").status == 403, path
    assert count(hub) == [0, 0]
    hub.hub.close()
