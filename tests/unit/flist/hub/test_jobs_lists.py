"""Which jobs a token lists."""

import json
from pathlib import Path

from flist.hub.state.viewer import SCOPES
from tests.helpers.flist.hub import make_hub


def test_a_token_lists_the_jobs_that_it_may_know_of(tmp_path: Path) -> None:
    local = make_hub(tmp_path / "hub")
    assert local.hub.jobs is not None
    spec = {"image": "app", "repository": "alice", "name": "app.fl"}
    number = local.hub.jobs.submit(local.viewer("alice"), "convert", spec)
    operator = local.hub.accounts.find("operator")
    alice = local.hub.accounts.find("alice")
    fewer = [scope for scope in SCOPES if scope != "admin"]
    local.tokens["small"] = local.hub.tokens.create(operator, "small", fewer)
    local.tokens["other"] = local.hub.tokens.create(alice, "other", SCOPES[:1], repository="shown")
    for user, expected in (("alice", [number]), ("operator", [number]), ("bob", []),
                           ("small", []), ("other", [])):  # fmt: skip
        jobs = local.get("/api/v1/jobs", user=user)["jobs"]
        assert [job["id"] for job in jobs] == expected, json.dumps([user, jobs])
