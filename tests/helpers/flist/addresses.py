"""The addresses of a hub, and who may use them; `test_every_route.py` tries them.

OPEN      tells nothing private, and changes nothing but for whoever has the right password
LISTS     tells of everything that its viewer may read
READS     tells of one thing; the second address is the same of a thing that does not exist
CHANGES   needs a token
"""

from dataclasses import dataclass
from typing import Any

from flist.hub.state.viewer import ADMIN, PUBLISH, READ, UPLOAD

OIDC = {
    "public_url": "http://hub.example",
    "oidc_issuer": "http://127.0.0.1:9",
    "oidc_client_id": "hub",
}
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=line"
MULTIPART = '--line\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--line--\r\n'
BLOCK, DIGEST = "{secret_block}", "{secret_digest}"
NO_DIGEST = "00" * 32
REFUSED = (401, 403, 404)

OPEN = {
    "GET /health", "GET /ready", "GET /metrics", "GET /api/openapi.json", "GET /api/v1",
    "POST /api/v1/challenge", "POST /api/v1/signin", "POST /login", "POST /logout",
    "POST /api/v1/block/verify",  # test_private.py
    "POST /api/v1/hooks/{number}",  # its secret is the webhook's own
    "GET /-/{name}.{suffix}", "GET /login", "GET /login-iyo", "GET /login-method", "GET /logout",
    "GET /readonly",
    "POST /api/v1/signout", "GET /login/oidc", "GET /login/oidc/callback",
}  # fmt: skip
LISTS = {
    "GET /api/flist", "GET /api/v1/fl", "GET /flists/", "GET /api/v1/repositories",
    "GET /api/v1/blocks", "GET /", "GET /search", "GET /api/fileslist", "GET /api/fileslist/",
    "GET /api/flist/", "GET /api/repositories", "GET /api/repositories/",
}  # fmt: skip
READS = {
    "GET /{repo}/{name}": ("/secret/tree.fl", "/absent/tree.fl"),
    "GET /flists/{repo}/{name}": ("/flists/secret/tree.fl", "/flists/absent/tree.fl"),
    "GET /flists/{repo}/": ("/flists/secret/", "/flists/absent/"),
    "GET /objects/{digest}": (f"/objects/{DIGEST}", f"/objects/{NO_DIGEST}"),
    "GET /blocks/{prefix}/{name}": (
        "/blocks/{secret_prefix}/{secret_block}", f"/blocks/00/{NO_DIGEST}",
    ),
    "GET /blocks/{name}": (f"/blocks/{BLOCK}", f"/blocks/{NO_DIGEST}"),
    "GET /api/v1/block/{name}": (f"/api/v1/block/{BLOCK}", f"/api/v1/block/{NO_DIGEST}"),
    "GET /api/v1/block/{name}/downloads": (
        f"/api/v1/block/{BLOCK}/downloads", f"/api/v1/block/{NO_DIGEST}/downloads",
    ),
    "GET /api/v1/blocks/{name}": (f"/api/v1/blocks/{BLOCK}", f"/api/v1/blocks/{NO_DIGEST}"),
    "GET /api/v1/file/{name}": (f"/api/v1/file/{DIGEST}", f"/api/v1/file/{NO_DIGEST}"),
    "GET /website/{name}": ("", ""),
    "GET /website/{name}/{path:path}": (
        f"/website/{DIGEST}/file", f"/website/{NO_DIGEST}/file",
    ),
    "GET /api/v1/fl/preview/{path:path}": (
        "/api/v1/fl/preview/flists/secret/tree.fl", "/api/v1/fl/preview/flists/absent/tree.fl",
    ),
    "GET /api/v1/fl/history/{repo}/{name}": (
        "/api/v1/fl/history/secret/tree.fl", "/api/v1/fl/history/absent/tree.fl",
    ),
    "GET /api/flist/{user}": ("/api/flist/secret", "/api/flist/absent"),
    "GET /api/flist/{user}/": ("/api/flist/secret/", "/api/flist/absent/"),
    "GET /api/flist/{user}/tags/{tag}": ("/api/flist/secret/tags/t", "/api/flist/absent/tags/t"),
    "GET /api/flist/{user}/{name}": ("/api/flist/secret/tree", "/api/flist/absent/tree"),
    "INFO /api/flist/{user}/{name}": ("/api/flist/secret/tree", "/api/flist/absent/tree"),
    "GET /api/flist/{user}/{name}/light": (
        "/api/flist/secret/tree/light", "/api/flist/absent/tree/light",
    ),
    "GET /api/flist/{user}/{name}/metadata": (
        "/api/flist/secret/tree/metadata", "/api/flist/absent/tree/metadata",
    ),
    "GET /api/flist/{user}/{name}/taglink": (
        "/api/flist/secret/tagged/taglink", "/api/flist/absent/tagged/taglink",
    ),
    "GET /{repo}": ("/secret", "/absent"),
    "GET /{repo}/tags/{tag}": ("/secret/tags/t", "/absent/tags/t"),
    "GET /{repo}/{name}.md": ("/secret/tree.md", "/absent/tree.md"),
    "GET /{repo}/{name}/changes": ("/secret/tree.fl/changes", "/absent/tree.fl/changes"),
    "GET /{repo}/{name}/files": ("/secret/tree.fl/files", "/absent/tree.fl/files"),
    "GET /{repo}/{name}/files/{path:anything}": (
        "/secret/tree.fl/files/file", "/absent/tree.fl/files/file",
    ),
    "GET /{repo}/{name}/raw/{path:anything}": (
        "/secret/tree.fl/raw/file", "/absent/tree.fl/raw/file",
    ),
    "GET /{user}/tags/{tag}/{name}.fl": ("/secret/tags/t/x.fl", "/absent/tags/t/x.fl"),
    "GET /{user}/tags/{tag}/{name}.flist": ("/secret/tags/t/x.flist", "/absent/tags/t/x.flist"),
    "GET /{user}/{name}.fl.md5": ("/secret/tree.fl.md5", "/absent/tree.fl.md5"),
    "GET /{user}/{name}.flist": ("/secret/tree.flist", "/absent/tree.flist"),
    "GET /{user}/{name}.flist.md5": ("/secret/tree.flist.md5", "/absent/tree.flist.md5"),
    "GET /{user}/{name}.json": ("/secret/tree.json", "/absent/tree.json"),
    "GET /{user}/{name}.txt": ("/secret/tree.txt", "/absent/tree.txt"),
    "GET /listen/{job}": ("/listen/{job}", "/listen/absent"),
    "GET /-/repositories/{name}": ("/-/repositories/secret", "/-/repositories/absent"),
    "GET /api/v1/repositories/{name}": (
        "/api/v1/repositories/secret", "/api/v1/repositories/absent",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A request that `user` may send with the scope. `is_own`: all users may, for themselves."""

    scope: str
    target: str
    body: Any = None
    user: str = "alice"
    is_own: bool = False
    is_for_one: bool = False  # also with a token for another repository
    kind: str = ""  # of the body; without one: JSON
    is_page: bool = False  # who is nobody is asked to sign in
    is_tried: bool = True  # the right token succeeds


CHANGES = {
    "PUT /{repo}/{name}": Row(PUBLISH, "/secret/tree.fl", b"flist"),
    "DELETE /{repo}/{name}": Row(PUBLISH, "/secret/tree.fl"),
    "POST /api/v1/fl/rollback/{repo}/{name}": Row(
        PUBLISH, "/api/v1/fl/rollback/secret/tree.fl", {"digest": DIGEST}
    ),
    "POST /api/v1/block": Row(UPLOAD, "/api/v1/block", b"new", is_own=True, is_for_one=True),
    "POST /api/v1/file": Row(UPLOAD, "/api/v1/file", b"new", is_own=True, is_for_one=True),
    "GET /api/v1/user/blocks": Row(READ, "/api/v1/user/blocks", is_own=True, is_for_one=True),
    "GET /api/v1/account": Row(READ, "/api/v1/account", is_own=True, is_for_one=True),
    "GET /api/v1/accounts": Row(ADMIN, "/api/v1/accounts", user="operator"),
    "POST /api/v1/accounts": Row(ADMIN, "/api/v1/accounts", {"name": "dave"}, user="operator"),
    "GET /api/v1/accounts/{name}": Row(READ, "/api/v1/accounts/alice"),
    "PATCH /api/v1/accounts/{name}": Row(
        ADMIN, "/api/v1/accounts/alice", {"public_key": "ab" * 32}
    ),
    "DELETE /api/v1/accounts/{name}": Row(ADMIN, "/api/v1/accounts/bob", user="operator"),
    "GET /api/v1/accounts/{group}/members": Row(READ, "/api/v1/accounts/team/members"),
    "PUT /api/v1/accounts/{group}/members/{name}": Row(
        ADMIN, "/api/v1/accounts/team/members/bob", user="operator"
    ),
    "DELETE /api/v1/accounts/{group}/members/{name}": Row(
        ADMIN, "/api/v1/accounts/team/members/alice", user="operator"
    ),
    "GET /api/v1/tokens": Row(ADMIN, "/api/v1/tokens?account=alice"),
    "POST /api/v1/tokens": Row(
        ADMIN, "/api/v1/tokens", {"name": "x", "scopes": ["read"], "account": "alice"}
    ),
    "DELETE /api/v1/tokens/{mark}": Row(ADMIN, "/api/v1/tokens/{alice_token}"),
    "POST /api/v1/repositories": Row(
        PUBLISH, "/api/v1/repositories", {"name": "new", "owner": "alice"}
    ),
    "PATCH /api/v1/repositories/{name}": Row(
        ADMIN, "/api/v1/repositories/secret", {"is_private": False}
    ),
    "POST /api/v1/convert": Row(
        PUBLISH, "/api/v1/convert", {"image": "app", "repository": "secret", "name": "new.fl"}
    ),
    "POST /api/v1/fl": Row(PUBLISH, "/api/v1/fl", {"image_name": "app"}, is_own=True),
    "GET /api/v1/fl/{number}": Row(READ, "/api/v1/fl/{job}", is_for_one=True),
    "GET /api/v1/jobs": Row(READ, "/api/v1/jobs", is_own=True, is_for_one=True),
    "GET /api/v1/jobs/{number}": Row(READ, "/api/v1/jobs/{job}", is_for_one=True),
    "GET /api/v1/jobs/{number}/events": Row(READ, "/api/v1/jobs/{job}/events", is_for_one=True),
    "DELETE /api/v1/jobs/{number}": Row(PUBLISH, "/api/v1/jobs/{job}", is_for_one=True),
    "GET /api/v1/follows/{repo}": Row(PUBLISH, "/api/v1/follows/secret"),
    "PUT /api/v1/follows/{repo}/{name}": Row(
        PUBLISH, "/api/v1/follows/secret/tree.fl", {"image": "app", "has_hook": True}
    ),
    "DELETE /api/v1/follows/{repo}/{name}": Row(PUBLISH, "/api/v1/follows/secret/followed.fl"),
    "POST /-/upload": Row(
        PUBLISH,
        "/-/upload",
        MULTIPART,
        kind=PARTS,
        is_own=True,
        is_for_one=True,
        is_page=True,
        is_tried=False,
    ),
    **{
        f"GET /-/{page}": Row("", f"/-/{page}", is_own=True, is_page=True, is_for_one=True)
        for page in ("upload", "convert", "repositories")
    },
    "GET /-/account": Row(ADMIN, "/-/account", is_own=True, is_page=True),
    "GET /-/audit": Row(ADMIN, "/-/audit", user="operator", is_page=True),
    "POST /-/convert": Row(
        PUBLISH, "/-/convert", "image=app&repository=secret&name=new.fl", kind=FORM, is_page=True
    ),
    "GET /-/jobs/{number}": Row("", "/-/jobs/{job}", is_page=True, is_for_one=True),
    "POST /-/jobs/{number}/cancel": Row(
        PUBLISH, "/-/jobs/{job}/cancel", "", kind=FORM, is_page=True, is_for_one=True
    ),
    "POST /-/repositories": Row(
        PUBLISH, "/-/repositories", "name=new&owner=alice", kind=FORM, is_page=True
    ),
    "POST /-/repositories/{name}": Row(
        ADMIN, "/-/repositories/secret", "signers=&threshold=0", kind=FORM, is_page=True
    ),
    "POST /-/tokens": Row(
        ADMIN,
        "/-/tokens",
        "name=x&scopes=read&scope=read&days=1",
        kind=FORM,
        is_own=True,
        is_page=True,
    ),
    "POST /-/tokens/{mark}/revoke": Row(
        ADMIN, "/-/tokens/{alice_token}/revoke", "", kind=FORM, is_page=True
    ),
    "POST /{repo}/{name}/delete": Row(
        PUBLISH, "/secret/tree.fl/delete", "confirm=tree.fl", kind=FORM, is_page=True
    ),
    "POST /{repo}/{name}/rollback": Row(
        PUBLISH,
        "/secret/tree.fl/rollback",
        "version={secret_digest}&digest={secret_digest}",
        kind=FORM,
        is_page=True,
    ),
    "GET /api/v1/audit": Row(ADMIN, "/api/v1/audit", user="operator"),
}


# The hub of these tests has no tag, only the newer format and no earlier version; a flist is no
# uploaded file, so the addresses of files and websites have nothing of it.
MISSING = ("/tags/", "taglink", ".flist", "/changes", "/listen/", "/file/", "/website/")


def is_missing(target: str) -> bool:
    """Return whether the hub of these tests has nothing at an address."""
    return any(word in target for word in MISSING)
