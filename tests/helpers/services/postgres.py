"""A real PostgreSQL in a folder of its own, on a Unix socket only, as a user without rights."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import text

from serving.database import open_database
from tests.helpers.needs import lack
from tests.helpers.waiting import wait_until

PROGRAMS = Path("/usr/lib/postgresql")
UP_WITHIN_S = 120
QUICK = ("fsync=off", "full_page_writes=off", "listen_addresses=", "max_connections=60")


class Postgres:
    """A running server; every test gets an empty database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = count(1)

    def url(self, name: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@/{name}?host={quote(str(self.folder))}"

    def make_database(self) -> str:
        """Return the URL of a new, empty database."""
        name = f"test{next(self.numbers)}"
        database = open_database(self.url())
        at_once = database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with at_once.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        database.close()
        return self.url(name)

    def answers(self) -> bool:
        """Return whether the server takes connections."""
        database = open_database(self.url())
        try:
            return database.check() is None
        finally:
            database.close()


def find_programs() -> Path:
    """Return the folder of PostgreSQL's programs, which is on nobody's PATH."""
    found = sorted(PROGRAMS.glob("*/bin/postgres"))
    if not found:
        lack("postgresql is not installed")
    return found[-1].parent


@contextlib.contextmanager
def run_postgres() -> Iterator[Postgres]:
    """Run a server until the block ends."""
    programs = find_programs()
    as_user: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="zos-pg-"))  # short: a socket's path has 107 characters
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(folder, "nobody")
    data = folder / "data"
    init: list[str | Path] = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
    ]
    init += ["--locale=C", "-N"]
    options = [word for option in QUICK for word in ("-c", option)]
    call: list[str | Path] = [programs / "postgres", "-D", data, "-k", folder, *options]
    try:
        subprocess.run(
            init, check=True, capture_output=True, timeout=UP_WITHIN_S, cwd=folder, **as_user
        )
        with (
            open(folder / "log", "wb") as log,
            subprocess.Popen(call, stderr=log, stdout=log, cwd=folder, **as_user) as process,
        ):
            server = Postgres(folder)
            try:
                wait_until(server.answers, "PostgreSQL", UP_WITHIN_S)
                yield server
            finally:
                process.send_signal(signal.SIGINT)  # closes connections, then ends
                process.wait(UP_WITHIN_S)
    finally:
        shutil.rmtree(folder)
