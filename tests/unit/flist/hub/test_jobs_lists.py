"""Which jobs a token lists, and how a job ends."""

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest

from flist.hub.jobs.jobs import Jobs
from flist.hub.jobs.model import DONE, FAILED, RUNNING
from flist.hub.state.viewer import SCOPES
from serving.database import DatabaseError
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


SPEC = {"image": "app", "repository": "alice", "name": "app.fl"}


def test_a_job_is_cancelled_on_another_server_while_it_tells_how_far_it_is(tmp_path: Path) -> None:
    local = make_hub(tmp_path / "hub")
    alice, first, other = local.viewer("alice"), local.hub.jobs, Jobs(local.hub, {}, 1)
    number = first.submit(alice, "convert", SPEC)
    task = first._take()
    first.tell(number, RUNNING, math.nan, "began")
    assert first.find(alice, number).progress == 0.0
    other.cancel(alice, number)
    first.tell(number, RUNNING, 2.0, "goes on")
    first.beat(time.time())
    assert task.is_cancelled
    first.finish(number, FAILED, "the job was cancelled")
    assert first.find(alice, number).message == "the job was cancelled"


def test_a_job_whose_end_cannot_be_noted_ends_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = make_hub(tmp_path / "hub")
    jobs = Jobs(local.hub, {"convert": lambda _: {}}, 1)
    number = jobs.submit(local.viewer("alice"), "convert", SPEC)
    finish = Jobs.finish

    def refuse(self: Jobs, number: str, state: str, *words: Any) -> None:
        if state == DONE:
            raise DatabaseError("cannot use the database")
        finish(self, number, state, *words)

    monkeypatch.setattr(Jobs, "finish", refuse)
    task = jobs._take()
    assert task is not None
    jobs._do(task)
    assert jobs.find(local.viewer("alice"), number).state == FAILED
