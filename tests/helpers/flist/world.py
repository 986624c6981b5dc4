"""A hub with something private, and tokens of everybody who should not get at it.

The private repository `secret` belongs to the group `team`: alice is a member, carol is one with a
disabled account, bob is none. `shown` is alice's and public.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from flist.hub.jobs.follows import Follows
from flist.hub.jobs.jobs import Jobs
from flist.hub.jobs.model import FAILED
from flist.hub.library.accepting import parse_flist
from flist.hub.state.tables import METADATA
from flist.hub.state.viewer import SCOPES
from flist.model import Route
from flist.pack.pack import pack
from serving.tokens import DAY_S
from tests.helpers.asgi import Answer, send_body
from tests.helpers.flist.hub import LocalHub, make_hub

PRIVATE_TEXT = "only the team may read this\n" * 400
PUBLIC_TEXT = "everybody may read this\n" * 400
NO_ONE = ("nobody", "wrong", "revoked", "expired", "disabled account")
"""The credentials that are nobody's; each is answered with 401."""


@dataclass
class World:
    """The hub with what requests name; `credentials` are the tokens that must not work."""

    local: LocalHub
    flist: bytes = b""
    names: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, str] = field(default_factory=dict)

    def send(
        self,
        method: str,
        target: str,
        token: str = "",
        body: bytes = b"",
        kind: str = "",
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request with a token, or none."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        headers |= {"content-type": kind} if kind else {}
        return send_body(self.local.app, method, target, body, {**headers, **(more or {})})

    def state(self) -> tuple[object, object]:
        """Return all that a request could change: the database, and the hub's files."""
        with self.local.hub.database.reading() as connection:
            tables = {
                table.name: sorted(map(str, connection.execute(select(table)).all()))
                for table in METADATA.sorted_tables
            }
        root = self.local.root
        files = [path.name for path in root.rglob("*") if not path.name.startswith("hub.db")]
        return tables, sorted(files)


def make_world(root: Path, **settings: Any) -> World:
    """Make the hub in the folder `root`."""
    world = World(make_hub(root, **settings))
    hub = world.local.hub
    hub.accounts.create("carol", password="carol-password")
    hub.accounts.create("team", kind="group")
    for name in ("alice", "carol"):
        hub.accounts.add_member("team", name)
    alice, operator = world.local.viewer("alice"), world.local.viewer("operator")
    hub.repositories.create(operator, "secret", owner="team", is_private=True)
    hub.repositories.create(alice, "shown")
    add_flists(world, root.parent)
    add_work(world)
    add_tokens(world)
    hub.accounts.disable("carol")
    return world


def add_flists(world: World, folder: Path) -> None:
    """Publish a flist in both repositories, as a client does: blocks first."""
    for repo, text in (("secret", PRIVATE_TEXT), ("shown", PUBLIC_TEXT)):
        tree, store, meta = folder / repo, folder / f"{repo}-blocks", folder / f"{repo}.fl"
        tree.mkdir()
        (tree / "file").write_text(text)
        pack(tree, meta, [Route(0, 255, f"dir://{store}")], is_checksum=False, processes=1)
        token, data = world.local.tokens["alice"], meta.read_bytes()
        for path in sorted(path for path in store.rglob("*") if path.is_file()):
            answer = world.send("POST", "/api/v1/block", token, path.read_bytes())
            assert answer.status in (200, 201), answer.text
        answer = world.send("PUT", f"/{repo}/tree.fl", token, data)
        assert answer.status == 201, answer.text
        (block,) = (block_id.hex() for block_id in parse_flist(meta).blocks)
        world.names |= {
            f"{repo}_digest": hashlib.sha256(data).hexdigest(),
            f"{repo}_block": block,
            f"{repo}_prefix": block[:2],
        }
        if repo == "secret":
            world.flist = data


def add_work(world: World) -> None:
    """Add a job of alice's that has ended, and a flist that follows an image."""
    hub, alice = world.local.hub, world.local.viewer("alice")
    waiting = Jobs(hub, {}, 1)
    number = waiting.submit(alice, "convert", {"image": "secret"})
    waiting.finish(number, FAILED, "secret")
    Follows(hub).put(alice, "secret", "followed.fl", "app", interval_s=1e9)
    world.names["job"] = number


def add_tokens(world: World) -> None:
    """Make the tokens that must not work for what is alice's."""
    hub, made = world.local.hub, world.credentials
    alice, bob, carol, operator = (
        hub.accounts.find(name) for name in ("alice", "bob", "carol", "operator")
    )
    tokens = hub.tokens
    world.local.tokens["alice"] = tokens.create(alice, "all", SCOPES)
    right = world.local.tokens["alice"]
    made["nobody"] = ""
    made["wrong"] = right[:-4] + ("AAAA" if right[-4:] != "AAAA" else "BBBB")
    made["revoked"] = tokens.create(alice, "revoked", SCOPES)
    tokens.revoke(alice, made["revoked"].split("_")[1])
    clock = tokens.clock
    tokens.clock = lambda: time.time() - 2 * DAY_S
    made["expired"] = tokens.create(alice, "expired", SCOPES, days=1)
    tokens.clock = clock
    made["disabled account"] = tokens.create(carol, "all", SCOPES)
    made["another user"] = tokens.create(bob, "all", SCOPES)
    made["another repository"] = tokens.create(alice, "shown", SCOPES, repository="shown")
    for scope in SCOPES:
        others = [other for other in SCOPES if other != scope]
        made[f"alice without {scope}"] = tokens.create(alice, "small", others)
        made[f"operator without {scope}"] = tokens.create(operator, "small", others)
    session = tokens.create(alice, "web pages", SCOPES, is_session=True)
    world.names["session"] = session
    spare = {"alice": alice, "bob": bob}
    for name, account in spare.items():
        mark = tokens.create(account, "spare", ["read"]).split("_")[1]
        world.names[f"{name}_token"] = mark
