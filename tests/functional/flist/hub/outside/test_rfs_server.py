"""The interface of upstream's rfs server over HTTP: what that server answered is asked of ours."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

from flist.hub.library.accepting import parse_flist
from flist.hub.library.hub import Hub
from flist.hub.state.tables import BLOCKS, USES
from serving.database import insert_new
from tests.helpers.flist.hub import make_hub
from tests.helpers.flist.mount import serving
from tests.helpers.samples import samples_dir

DEADLINE_S = 300
LIMITS = ("--sign-in-per-minute", "0")
NO_TOKEN = "a token that is missing or wrong is 401 with the way to sign in, as HTTP wants it"
PIECES = "files and flists are kept in pieces of 512 KiB, and a list has each block once"
DIFFERS = {
    **dict.fromkeys(
        ("signin-wrong", "signin-unknown", "signin-empty", "signin-case", "signin-sql",
         "block-anonymous", "block-as-nobody", "block-as-expired", "block-as-other-secret",
         "block-as-none", "block-as-no-exp", "block-as-no-name", "block-token-only",
         "block-empty-header", "block-garbage", "anonymous-POST-file-4", "expired-POST-file-4",
         "anonymous-POST-fl-2", "expired-POST-fl-2", "anonymous-GET-fl-39", "expired-GET-fl-39",
         "anonymous-GET-user-11", "expired-GET-user-11"),
        NO_TOKEN,
    ),
    **dict.fromkeys(
        ("signin-used", "list", "list-per-page-1000", "mine", "file-blocks-of"), PIECES
    ),
    "block-over": "blocks of up to 4 MiB are taken",
    "block-no-query": "a block needs no place in a file",
    "block-more-query": "an index without a file is no place, so nothing of it is new",
    "head": "HEAD has the headers of GET",
    "mine-page-2": "the total is that of all pages",
    "file-get-name": "a body of GET is no part of a cache's key: others would get this name",
    "site-folder": "it redirects by 307, which keeps the method",
}  # fmt: skip
"""The steps that may differ, and why. Upstream's client fails alike at 401 and 403."""
ROW = {"size": 1, "created_s": 0, "touched_s": 0, "downloads": 0}


def publish_small(hub: Hub, token: str, data: bytes) -> None:
    """Publish a flist whose blocks are not there, as a folder of upstream's server may hold it."""
    viewer = hub.tokens.find_viewer(token)
    draft = hub.contents.receive([data])
    blocks = parse_flist(draft.path).blocks
    with hub.database.writing() as connection:
        for block in blocks:
            insert_new(connection, BLOCKS, {**ROW, "id": block})
    hub.flists.publish(viewer, "alice", "small.fl", draft)
    draft.discard()
    with hub.database.writing() as connection:
        connection.execute(USES.delete().where(USES.c.block.in_(blocks)))
        connection.execute(BLOCKS.delete().where(BLOCKS.c.id.in_(blocks)))


def test_the_recorded_requests_are_answered_as_upstream_did_or_better(tmp_path: Path) -> None:
    samples = samples_dir() / "rfs-server"
    scenario = samples / "scenario.json"
    local = make_hub(tmp_path / "hub")
    small = json.loads(scenario.read_text())["files"]["small.fl"]
    publish_small(local.hub, local.tokens["alice"], base64.b64decode(small))
    local.hub.close()
    with serving(local.root, "127.0.0.1:0", *LIMITS) as hub:
        call = [sys.executable, str(samples.parents[1] / "tools" / "replay_server.py"), "compare"]
        call += [str(scenario), str(samples / "answers.json"), "-v", "--sign-in"]
        call += ["--base", hub.url]
        done = subprocess.run(call, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    different = re.findall(r"^(?:DIFFERS|COPIED)\s+(\S+)", done.stdout, re.MULTILINE)
    assert set(different) == set(DIFFERS), done.stdout + done.stderr
    assert "answers good" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]
