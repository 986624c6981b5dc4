"""The jobs of a hub: a table that its servers share, and the threads that work on them.

A job runs on the server that has accepted it, since only that one has its credentials, which are
kept in memory alone. If the server ends, the job has failed, and another server says so.
"""

import contextlib
import json
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update

from common.errors import ZosError
from flist.hub.errors import AbsentError
from flist.hub.jobs.model import (
    ACCEPTED,
    DONE,
    FAILED,
    FINAL,
    RUNNING,
    BusyError,
    Job,
    make_job,
    query,
)
from flist.hub.jobs.process import CancelledError
from flist.hub.library.hub import Hub
from flist.hub.state.tables import EVENTS, JOBS
from flist.hub.state.viewer import ADMIN, Viewer

HEARTBEAT_S = 10.0
LOST_S = 60.0
"""A job whose server has been silent for so long has failed."""
KEPT_S = 7 * 86400.0
TOLD_EVERY_S = 0.5
QUEUE_MAX = 64
QUEUE_MAX_OF_ACCOUNT = 16
MESSAGE_MAX_CHARS = 500
STOP_S = 10.0


@dataclass
class Task:
    """A job on its way through this server."""

    id: str
    kind: str
    viewer: Viewer
    spec: dict[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None  # what was uploaded for it; removed in the end
    is_cancelled: bool = False


class Context:
    """What the function of a job's kind gets: what to do, and how to tell how far it is."""

    def __init__(self, jobs: "Jobs", task: Task, folder: Path) -> None:
        self.hub = jobs.hub
        self.jobs = jobs
        self.task = task
        self.folder = folder  # of this job alone, removed in the end
        self._told = 0.0

    def progress(self, percent: float, message: str) -> None:
        """Tell how far the work is; at most twice a second it goes to the database."""
        now = time.monotonic()
        if now - self._told >= TOLD_EVERY_S:
            self._told = now
            self.jobs.tell(self.task.id, RUNNING, percent, message)
        if self.is_cancelled():
            raise CancelledError("the job was cancelled")

    def is_cancelled(self) -> bool:
        """Return whether somebody has cancelled the job, or the server stops."""
        return self.task.is_cancelled or self.jobs.is_stopping


Work = Callable[[Context], dict[str, Any]]


class Jobs:
    """Accepts jobs and works on them, `workers` at a time, from `start` until `close`."""

    def __init__(self, hub: Hub, kinds: Mapping[str, Work], workers: int) -> None:
        self.hub = hub
        self.kinds = kinds
        self.name = f"{socket.gethostname()[:60]}:{uuid.uuid4().hex[:8]}"
        self.is_stopping = False
        self._waiting: deque[Task] = deque()
        self._running: dict[str, Task] = {}
        self._changed = threading.Condition()
        self.has_workers = workers > 0
        self._threads = [
            threading.Thread(target=self._work, name=f"job-{number}", daemon=True)
            for number in range(workers)
        ]
        self._threads.append(threading.Thread(target=self._watch, name="jobs", daemon=True))

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Cancel what runs and what waits; return when all threads have ended, or after a while."""
        with self._changed:
            self.is_stopping = True
            waiting = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for task in waiting:
            self._fail(task, "the server has stopped")
        deadline = time.monotonic() + STOP_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    # -- for requests ----------------------------------------------------------------------------

    def submit(
        self,
        viewer: Viewer,
        kind: str,
        spec: dict[str, Any],
        *,
        secrets: Mapping[str, str] | None = None,
        file: Path | None = None,
    ) -> str:
        """Accept a job; return its id. `file` belongs to the job from here on. Raises `BusyError`.

        `spec` goes to the database, `secrets` do not.
        """
        task = Task(str(uuid.uuid4()), kind, viewer, spec, secrets or {}, file)
        try:
            self._enter(task)
        except BaseException:
            discard(task)
            raise
        return task.id

    def _enter(self, task: Task) -> None:
        with self._changed:
            if not self.has_workers:
                raise BusyError("this server converts nothing: its setting `jobs` is 0")
            own = sum(t.viewer.account_id == task.viewer.account_id for t in self._waiting)
            if self.is_stopping or len(self._waiting) >= QUEUE_MAX:
                raise BusyError("too many jobs are waiting on this server")
            if own >= QUEUE_MAX_OF_ACCOUNT:
                raise BusyError("too many of your jobs are waiting")
            now_s = time.time()
            row = {
                "id": task.id,
                "account_id": task.viewer.account_id,
                "kind": task.kind,
                "spec": json.dumps(task.spec),
                "state": ACCEPTED,
                "progress": 0.0,
                "message": "waiting",
                "worker": self.name,
                "created_s": now_s,
                "updated_s": now_s,
            }
            with self.hub.database.writing() as connection:
                connection.execute(insert(JOBS).values(row))
            self._waiting.append(task)
            self._changed.notify_all()  # whoever looks after the jobs waits for it, too

    def find_waiting(self, kind: str, spec: dict[str, Any]) -> str | None:
        """Return the id of a job for the same thing that waits on this server, or None."""
        with self._changed:
            same = (task.id for task in self._waiting if (task.kind, task.spec) == (kind, spec))
            return next(same, None)

    def find(self, viewer: Viewer, number: str) -> Job:
        """Return a job of the viewer's, or any to an administrator. Raises `AbsentError`."""
        with self.hub.database.reading() as connection:
            row = connection.execute(query().where(JOBS.c.id == number[:36])).first()
        job = None if row is None else make_job(row)
        if job is None or not may_know(viewer, job):
            raise AbsentError("there is no such job")
        return job

    def list_all(self, viewer: Viewer, limit: int = 100) -> list[Job]:
        """Return the viewer's newest jobs, an administrator's: all accounts'."""
        wanted = query().order_by(JOBS.c.created_s.desc()).limit(limit)
        if not viewer.is_admin:
            wanted = wanted.where(JOBS.c.account_id == viewer.account_id)
        with self.hub.database.reading() as connection:
            jobs = [make_job(row) for row in connection.execute(wanted)]
        return [job for job in jobs if may_know(viewer, job)]

    def events(self, viewer: Viewer, number: str, after: int = 0) -> list[tuple[int, Any]]:
        """Return the events of a job with their numbers, those after `after`."""
        self.find(viewer, number)
        wanted = select(EVENTS.c.id, EVENTS.c.event).where(
            EVENTS.c.job == number, EVENTS.c.id > after
        )
        with self.hub.database.reading() as connection:
            rows = connection.execute(wanted.order_by(EVENTS.c.id)).all()
        return [(row.id, json.loads(row.event)) for row in rows]

    def cancel(self, viewer: Viewer, number: str) -> None:
        """Cancel a job. On another server it ends when that one has seen it."""
        job = self.find(viewer, number)
        if job.is_final:
            return
        with self._changed:
            task = self._running.get(number)
            if task is not None:
                task.is_cancelled = True
                return
            waiting = next((task for task in self._waiting if task.id == number), None)
            if waiting is not None:
                self._waiting.remove(waiting)
        if waiting is not None:
            self._fail(waiting, "the job was cancelled")
            return
        with self.hub.database.writing() as connection:
            change = update(JOBS).where(JOBS.c.id == number, JOBS.c.state.not_in(FINAL))
            connection.execute(change.values(message=CANCEL))

    # -- working ---------------------------------------------------------------------------------

    def _work(self) -> None:
        while (task := self._take()) is not None:
            try:
                self._do(task)
            finally:
                with self._changed:
                    self._running.pop(task.id, None)
                discard(task)

    def _take(self) -> Task | None:
        with self._changed:
            while not self._waiting and not self.is_stopping:
                self._changed.wait()
            if self.is_stopping:
                return None
            task = self._waiting.popleft()
            self._running[task.id] = task
            return task

    def _do(self, task: Task) -> None:
        """Do one job. Whatever happens, it ends as done or failed."""
        try:
            self.tell(task.id, RUNNING, 0.0, "started")
            with self._folder() as folder:
                result = self.kinds[task.kind](Context(self, task, folder))
            self.finish(task.id, DONE, "done", result)
        except ZosError as error:
            for note in getattr(error, "__notes__", ()):
                self.log("a worker failed", job=task.id, said=note)
            self._fail(task, error.message, error.hint or "")
        except OSError as error:
            self._fail(task, f"the server failed: {error.strerror or 'input or output'}")
        except Exception as error:  # the job's owner must hear of it, and the others go on
            self.log("job failed", job=task.id, error=repr(error))
            self._fail(task, "the server failed; its log says why")

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        """Give a folder that is removed afterwards."""
        place = self.hub.contents.arriving
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="job-", dir=place))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _fail(self, task: Task, message: str, hint: str = "") -> None:
        text = f"{message} ({hint})" if hint else message
        with contextlib.suppress(ZosError):
            self.finish(task.id, FAILED, text)
        discard(task)

    def tell(self, number: str, state: str, percent: float, message: str) -> None:
        """Note how far a job is, and tell those who watch it."""
        percent = min(max(0.0, percent), 100.0)  # in this order, NaN becomes 0
        event = {"status": "update", "message": message, "progress": round(percent, 1)}
        self._note(number, event, state=state, progress=percent, message=message)

    def finish(
        self, number: str, state: str, message: str, result: Mapping[str, Any] | None = None
    ) -> None:
        """Note that a job has ended."""
        event: dict[str, Any] = {"status": "info" if state == DONE else "error"}
        event |= {"message": message, "state": state, "result": result or {}}
        values: dict[str, Any] = {"state": state, "message": message}
        if state == DONE:
            values |= {"progress": 100.0, "result": json.dumps(result)}
        self._note(number, event, **values)

    def _note(self, number: str, event: Mapping[str, Any], **values: Any) -> None:
        """Change the row of a job that has not ended, with an event about it."""
        now_s = time.time()
        values["message"] = str(values["message"])[:MESSAGE_MAX_CHARS]
        mine = (JOBS.c.id == number) & JOBS.c.state.not_in(FINAL)
        if values["state"] not in FINAL:  # else this server would never see that it is cancelled
            mine &= JOBS.c.message != CANCEL
        with self.hub.database.writing() as connection:
            change = update(JOBS).where(mine).values(**values, updated_s=now_s)
            if connection.execute(change).rowcount:
                row = {"job": number, "at_s": now_s, "event": json.dumps(event)}
                connection.execute(insert(EVENTS).values(row))

    # -- watching --------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Show that this server lives, and look after what others have left."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.is_stopping, HEARTBEAT_S)
                if self.is_stopping:
                    return
            try:
                self.beat(time.time())
            except ZosError as error:
                self.log("cannot look after the jobs", error=error.message)

    def beat(self, now_s: float) -> None:
        """Renew this server's jobs, end those of servers that are gone, remove old ones."""
        with self._changed:
            own = {*self._running, *(task.id for task in self._waiting)}
        with self.hub.database.writing() as connection:
            if own:
                connection.execute(update(JOBS).where(JOBS.c.id.in_(own)).values(updated_s=now_s))
            asked = select(JOBS.c.id).where(JOBS.c.id.in_(own), JOBS.c.message == CANCEL)
            cancelled = set(connection.execute(asked).scalars()) if own else set()
            is_open = JOBS.c.state.not_in(FINAL)
            lost = select(JOBS.c.id).where(is_open, JOBS.c.updated_s < now_s - LOST_S)
            gone = list(connection.execute(lost).scalars())
            connection.execute(delete(JOBS).where(~is_open, JOBS.c.updated_s < now_s - KEPT_S))
        for number in gone:
            self.finish(number, FAILED, "the server that worked on it has ended")
        with self._changed:
            for number in cancelled & self._running.keys():
                self._running[number].is_cancelled = True

    def log(self, event: str, **words: str) -> None:
        """Write to the server's log; a command has none."""
        if self.hub.kit is not None:
            self.hub.kit.log.error(event, **words)


CANCEL = "cancelled, not ended yet"


def is_operator(viewer: Viewer) -> bool:
    """Return whether a viewer may know of all jobs."""
    return viewer.is_admin and ADMIN in viewer.scopes


def may_know(viewer: Viewer, job: Job) -> bool:
    """Return whether a viewer may know of a job: its own, and for its token's repository."""
    is_own = job.account == viewer.name or is_operator(viewer)
    return is_own and viewer.repository in (None, job.spec.get("repository"))


def discard(task: Task) -> None:
    """Remove what was uploaded for a job."""
    if task.file is not None:
        with contextlib.suppress(OSError):
            task.file.unlink(missing_ok=True)
