"""The hub's pages: nothing private leaks, nothing of others is executed, forms do what they say."""

import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest

from flist.hub.pages import PAGES
from tests.helpers.asgi import Answer, send_body
from tests.helpers.flist.gallery import HOSTILE, LONG, SCRIPT, fill
from tests.helpers.flist.hub import LocalHub, make_hub

HTML = {"accept": "text/html"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
OWN_SITE = {"sec-fetch-site": "same-origin"}
BOUNDARY = "boundary"
Gallery = tuple[LocalHub, dict[str, str]]


@pytest.fixture(name="gallery", scope="module")
def make_gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    top = tmp_path_factory.mktemp("gallery")
    hub = make_hub(top / "hub")
    scopes = ("read", "publish", "admin")
    alice = hub.hub.accounts.find("alice")
    hub.tokens["session"] = hub.hub.tokens.create(alice, "web", scopes, is_session=True)
    yield hub, fill(hub, top)
    hub.hub.close()


@pytest.fixture(name="hub")
def serve(gallery: Gallery) -> LocalHub:
    return gallery[0]


def ask(hub: LocalHub, path: str, user: str = "", **headers: str) -> Answer:
    """Ask for a page, as a browser with a session does."""
    sent = {**HTML, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return send_body(hub.app, "GET", path, b"", {**sent, **cookie(hub, user)})


def cookie(hub: LocalHub, user: str) -> dict[str, str]:
    """Return the header of a session."""
    return {"cookie": f"zos_session={hub.tokens[user]}"} if user else {}


def post(
    hub: LocalHub, path: str, user: str, fields: dict[str, str], site: str = "same-origin"
) -> Answer:
    """Send a form."""
    headers = {**HTML, **FORM, **cookie(hub, user), "sec-fetch-site": site}
    return send_body(hub.app, "POST", path, urlencode(fields).encode(), headers)


def page_paths(digests: dict[str, str], place: str) -> list[str]:
    """Return the addresses of all that is to be read of a flist."""
    versions = f"from={digests['new']}&to={digests['new']}"
    return [
        f"/{place}.md",
        f"/{place}.md?version={digests['new']}",
        f"/{place}/files/",
        f"/{place}/files/etc/motd",
        f"/{place}/files/?q=motd",
        f"/{place}/raw/etc/motd",
        f"/{place}/raw/picture.png?show=1",
        f"/{place}/changes?{versions}",
    ]


def test_what_is_private_is_shown_to_its_owner_only(gallery: Gallery) -> None:
    hub, digests = gallery
    for path in [*page_paths(digests, "bob/secret.fl"), "/bob"]:
        assert ask(hub, path, "bob").status == 200, path
        for user in ("", "alice"):
            answer = ask(hub, path, user)
            assert answer.status == 404, path
            assert "secret" not in re.sub(r"bob/secret\.fl", "", answer.text)
            absent = ask(hub, path.replace("bob", "bot"), user)
            assert absent.text.replace("bot", "bob") == answer.text, path
    for path in ("/", "/?q=secret", "/?q=bob"):
        assert "bob/secret.fl" not in ask(hub, path, "alice").text.replace('value="secret"', "")
    assert "bob/secret.fl" in ask(hub, "/?q=secret", "bob").text


def test_pages_are_kept_by_no_shared_cache_and_run_nothing(gallery: Gallery) -> None:
    hub, digests = gallery
    for path in ["/", "/alice", "/login", "/nothing", *page_paths(digests, "alice/web.fl")]:
        answer = ask(hub, path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"].startswith("private") or "-change" in path
        if answer.headers["content-type"].startswith("text/html"):
            assert SCRIPT not in answer.text, path
            assert " style=" not in answer.text and " onclick=" not in answer.text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_with_a_hostile_name_can_be_read(hub: LocalHub, name: bytes) -> None:
    path = quote(b"/odd/" + name)
    assert path in ask(hub, "/alice/web.fl/files/odd").text
    page = ask(hub, f"/alice/web.fl/files{path}")
    assert page.status == 200 and "a hostile name" in page.text
    saved = ask(hub, f"/alice/web.fl/raw{path}")
    assert saved.body == b"a hostile name\n"
    assert saved.headers["content-disposition"].startswith("attachment; ")
    assert len(saved.headers["content-disposition"]) < 4 * len(LONG)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("picture.png", "image/png"),
        ("no-picture.png", ""),
        ("drawing.svg", ""),
        ("page.html", ""),
        ("etc/motd", ""),
    ],
)
def test_only_an_image_is_shown_and_nothing_is_ever_executed(
    hub: LocalHub, name: str, kind: str
) -> None:
    for query in ("", "?show=1"):
        answer = ask(hub, f"/alice/web.fl/raw/{name}{query}")
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert answer.headers["x-content-type-options"] == "nosniff"
        is_image = bool(kind and query)
        wanted = kind if is_image else "application/octet-stream"
        assert answer.headers["content-type"] == wanted
        assert ("content-disposition" in answer.headers) != is_image


def test_a_file_is_sent_in_part_and_only_once(hub: LocalHub) -> None:
    answer = ask(hub, "/alice/web.fl/raw/long.txt", range="bytes=100000-100009")
    whole = ask(hub, "/alice/web.fl/raw/long.txt")
    assert answer.status == 206 and answer.body == whole.body[100_000:100_010]
    again = ask(hub, "/alice/web.fl/raw/long.txt", if_none_match=whole.headers["etag"])
    assert again.status == 304


def test_what_is_no_file_is_not_sent(hub: LocalHub) -> None:
    for path in ("/alice/web.fl/raw/", "/alice/web.fl/raw/pipe", "/alice/web.fl/raw/link"):
        assert ask(hub, path).status == 404
    for path in ("pipe", "link", "away", "evil", "many"):
        assert ask(hub, f"/alice/web.fl/files/{path}").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/alice/web.fl/files/../../../etc/passwd",
        "/alice/web.fl/files/%2e%2e/%2e%2e/etc/passwd",
        "/alice/web.fl/files/etc/motd/x",
        "/alice/web.fl/files/x%00",
        "/alice/web.fl.md?version=x",
        "/bob/secret.fl/changes",
        "/alice/web.fl/changes?from=x&to=y",
        "/alice/tags/nothing",
        "/-/style.css",
        "/-/jobs/x/y",
        "/alice/web.fl%0A.md",
        "/?q=%00",
        "/%00",
        "/alice/tags/%00",
    ],
)
def test_absurd_addresses_are_not_found(hub: LocalHub, path: str) -> None:
    answer = ask(hub, path)
    assert answer.status == 404 and "Nothing is here" in answer.text


@pytest.mark.parametrize("after", ["-1", "x", "9999999999999999999999"])
def test_absurd_pages_are_refused(hub: LocalHub, after: str) -> None:
    assert ask(hub, f"/alice/web.fl/files/?after={after}").status == 422


def test_the_changes_of_a_version_are_those_since_the_one_before(gallery: Gallery) -> None:
    hub, digests = gallery
    page = ask(hub, f"/alice/web.fl/changes?from={digests['old']}&to={digests['new']}").text
    assert "4 differences in all" in page
    assert ask(hub, "/alice/web.fl/changes").text == page
    assert ask(hub, f"/alice/web.fl/changes?to={digests['old']}").status == 404


def test_a_flist_of_the_older_format_is_shown_like_others(hub: LocalHub) -> None:
    page = ask(hub, "/alice/older.flist.md").text
    assert "<h3>Older</h3>" in page and "in the older format" in page
    assert "an older text" in ask(hub, "/alice/older.flist/files/text").text
    assert ask(hub, "/alice/older.flist/raw/text").body == b"an older text\n"
    assert "/text" in ask(hub, "/alice/older.flist/files/?q=TEX").text


def test_errors_are_pages_for_browsers_only(hub: LocalHub) -> None:
    answer = send_body(hub.app, "GET", "/nothing/at.fl.md", b"", {"accept": "*/*"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"  # soon there may be such a flist
    assert ask(hub, "/nothing/at.fl").headers["content-type"].startswith("text/html")


def test_the_own_files_never_change_under_their_names(hub: LocalHub) -> None:
    page = ask(hub, "/").text
    for name in ("style.css", "page.js"):
        own = PAGES.name_asset(name)
        assert f'"/-/{own}"' in page
        assert "immutable" in ask(hub, f"/-/{own}").headers["cache-control"]


def test_an_earlier_version_is_published_again_by_its_owner(gallery: Gallery) -> None:
    hub, digests = gallery
    path, fields = "/alice/web.fl/rollback", {"digest": digests["old"]}
    assert post(hub, path, "", fields).status == 401
    assert post(hub, path, "bob", fields).status == 422
    assert post(hub, path, "alice", fields, site="cross-site").status == 403
    assert hub.hub.flists.find(hub.viewer("alice"), "alice", "web.fl").digest == digests["new"]
    assert post(hub, path, "alice", fields).headers["location"] == "/alice/web.fl.md"
    assert hub.hub.flists.find(hub.viewer("alice"), "alice", "web.fl").digest == digests["old"]
    assert post(hub, path, "alice", {"digest": digests["new"]}).status == 303
    assert "verified" in ask(hub, "/alice/web.fl.md").text
    assert post(hub, path, "alice", {"digest": "0" * 64}).status == 422


def test_a_flist_is_deleted_only_by_who_types_its_name(hub: LocalHub) -> None:
    digest = hub.hub.flists.find(hub.viewer("bob"), "bob", "secret.fl").digest
    assert post(hub, "/bob/secret.fl/delete", "bob", {"confirm": "secret"}).status == 422
    assert post(hub, "/bob/secret.fl/delete", "alice", {"confirm": "secret.fl"}).status == 404
    assert hub.hub.flists.find(hub.viewer("bob"), "bob", "secret.fl").digest == digest


def send_form(
    hub: LocalHub, user: str, files: dict[str, tuple[str, bytes]], **fields: str
) -> Answer:
    """Send the form of an upload."""
    parts = b""
    for name, value in fields.items():
        head = f'Content-Disposition: form-data; name="{name}"'
        parts += f"--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n".encode()
    for name, (file, data) in files.items():
        head = f'Content-Disposition: form-data; name="{name}"; filename="{file}"'
        parts += f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"
    body = parts + f"--{BOUNDARY}--\r\n".encode()
    kind = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    headers = {**HTML, **kind, **OWN_SITE, **cookie(hub, user)}
    return send_body(hub.app, "POST", "/-/upload", body, headers)


def test_an_upload_is_published_or_says_what_is_wrong(gallery: Gallery) -> None:
    hub, digests = gallery
    data = hub.hub.contents.path(digests["old"]).read_bytes()
    file = {"file": ("up.fl", data)}
    assert send_form(hub, "", file, repository="alice").status == 401
    refused = send_form(hub, "bob", file, repository="alice")
    assert refused.status == 403 and "belongs to somebody else" in refused.text
    for files, said in (({}, "Choose a flist"), ({"file": ("x.txt", data)}, "ends in .fl")):
        wrong = send_form(hub, "alice", files, repository="alice")
        assert wrong.status == 422 and said in wrong.text
    broken = send_form(hub, "alice", {"file": ("up.fl", b"no flist")}, repository="alice")
    assert broken.status == 422 and "not a flist" in broken.text
    done = send_form(hub, "alice", file, repository="alice", name="")
    assert (done.status, done.headers["location"]) == (303, "/alice/up.fl.md")
    assert hub.hub.flists.find(hub.viewer("alice"), "alice", "up.fl").digest == digests["old"]
    assert list((hub.root / "tmp").iterdir()) == []


def test_a_form_that_is_none_is_refused(hub: LocalHub) -> None:
    kind = {"content-type": "multipart/form-data"}
    headers = {**HTML, **kind, **OWN_SITE, **cookie(hub, "alice")}
    for body in (b"", b"--x\r\n", bytes(1000)):
        assert send_body(hub.app, "POST", "/-/upload", body, headers).status == 422


def test_a_token_is_shown_once_and_can_be_revoked(hub: LocalHub) -> None:
    fields = {"name": "robot", "scopes": "read", "days": "7", "repository": ""}
    assert post(hub, "/-/tokens", "alice", fields).status == 403  # this one lacks the scope admin
    made = post(hub, "/-/tokens", "session", fields)
    text = re.findall(r"zos_[\w-]+", made.text)
    assert made.status == 200 and len(text) == 1
    assert made.headers["cache-control"] == "no-store"
    assert hub.hub.tokens.find_viewer(text[0]).scopes == {"read"}
    page = ask(hub, "/-/account", "session").text
    assert text[0] not in page and "robot" in page
    mark = text[0].split("_")[1]
    assert f"/-/tokens/{mark}/revoke" in page
    assert post(hub, f"/-/tokens/{mark}/revoke", "session", {}).status == 303
    assert "revoked" in ask(hub, "/-/account", "session").text
    for wrong in ({"days": "x"}, {"scopes": ""}, {"name": ""}, {"scopes": "upload"}):
        answer = post(hub, "/-/tokens", "session", {**fields, **wrong})
        assert answer.status in (403, 422) and 'role="alert"' in answer.text


def test_the_audit_log_is_for_administrators(hub: LocalHub) -> None:
    assert ask(hub, "/-/audit").status == 303
    assert ask(hub, "/-/audit", "alice").status == 403
    page = ask(hub, "/-/audit", "operator")
    assert page.status == 200 and "flist.publish" in page.text


def test_a_form_of_a_page_leads_back_to_it_after_signing_in(hub: LocalHub) -> None:
    answer = ask(hub, "/-/upload?repository=a%26b")
    assert answer.headers["location"] == "/login?next=%2F-%2Fupload%3Frepository%3Da%2526b"
    assert 'value="/-/upload?repository=a%26b"' in ask(hub, answer.headers["location"]).text
    wrong = {"username": "alice", "password": "wrong-password", "next": "/a?b=<"}
    failed = post(hub, "/login", "", wrong)
    assert 'value="/a?b=&lt;"' in failed.text and 'value="alice"' in failed.text
    assert failed.status == 401 and 'name="password"' in failed.text and "alert" in failed.text


def test_the_way_to_an_organisations_sign_in_leads_back_too(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "/login/oidc" not in ask(hub, "/login").text
    monkeypatch.setattr(hub.app.state, "oidc", object())
    assert 'href="/login/oidc?next=%2F-%2Fupload"' in ask(hub, "/login?next=/-/upload").text
    assert 'href="/login/oidc"' in post(hub, "/login", "", {"username": "x", "password": "y"}).text


def test_a_repository_is_made_and_its_owner_says_who_has_to_sign(hub: LocalHub) -> None:
    make, settings = "/-/repositories", "/-/repositories/team"
    assert ask(hub, make).status == 303
    for name in ("-/x", "bob", "api", "", "alice"):
        assert post(hub, make, "alice", {"name": name}).status in (403, 409, 422), name
    assert post(hub, make, "alice", {"name": "team", "is_private": "1"}).status == 303
    assert ask(hub, "/team", "bob").status == 404
    assert "private" in ask(hub, "/team", "alice").text
    key = "A" * 43 + "="
    fields = {"signers": f"{key}\n{'00' * 31}01", "threshold": "2"}
    assert post(hub, settings, "bob", fields).status == 403
    assert post(hub, settings, "alice", fields).status == 403  # the token lacks the scope admin
    assert post(hub, settings, "session", fields, site="cross-site").status == 403
    thresholds = ({"threshold": text} for text in ("3", "x", "0" * 9 + "3", "0" * 5000))
    for wrong in (*thresholds, {"signers": "x"}, {"signers": key[:40]}):
        assert post(hub, settings, "session", {**fields, **wrong}).status == 422
    assert post(hub, settings, "session", fields).headers["location"] == "/team"
    found = hub.hub.repositories.find(hub.viewer("bob"), "team")
    assert (len(found.signers), found.threshold, found.is_private) == (2, 2, False)
    assert key in ask(hub, settings, "session").text
    assert ask(hub, settings, "bob").status == 403
