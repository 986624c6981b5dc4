"""What is known of a job."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from flist.hub.errors import HubError
from flist.hub.state.tables import ACCOUNTS, JOBS

ACCEPTED, RUNNING, DONE, FAILED = "accepted", "running", "done", "failed"
FINAL = (DONE, FAILED)


class BusyError(HubError):
    """Too many jobs are waiting."""

    http_status = 429

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="wait until others are done")
        self.http_headers = {"Retry-After": "30"}


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of a job; `result` is there when it is done."""

    id: str
    account: str
    kind: str
    spec: dict[str, Any]
    state: str
    progress: float
    message: str
    result: dict[str, Any]
    created_s: float
    updated_s: float

    @property
    def is_final(self) -> bool:
        """Return whether it has ended."""
        return self.state in FINAL


def query() -> Any:
    """Return the query of jobs with the names of their accounts."""
    return select(*JOBS.c, ACCOUNTS.c.name).join(ACCOUNTS, ACCOUNTS.c.id == JOBS.c.account_id)


def make_job(row: Any) -> Job:
    """Return what a row says."""
    return Job(row.id, row.name, row.kind, json.loads(row.spec), row.state, row.progress,
               row.message, json.loads(row.result or "{}"), row.created_s,
               row.updated_s)  # fmt: skip
