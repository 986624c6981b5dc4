"""The state of the bootstrap server, in memory, in SQLite and in a real PostgreSQL."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, insert, text

from bootstrap_server.state.opening import SCOPES, open_state
from bootstrap_server.state.tables import TABLES
from common.errors import UsageError
from serving.database import Database, DatabaseError, open_database
from serving.tokens import TOKENS, TokenError, Tokens
from tests.helpers.services.postgres import Postgres

COMMAND_S = 120


def zos(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `zos bootstrap`."""
    call = [sys.executable, "-m", "zero_os", "bootstrap", *words]
    return subprocess.run(call, capture_output=True, text=True, timeout=COMMAND_S)


def test_migrations_make_the_tables_that_the_code_declares(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        wanted = MetaData()
        for metadata in TABLES:
            for table in metadata.tables.values():
                table.to_metadata(wanted)
        assert compare_metadata(context, wanted) == []


def test_opening_again_changes_nothing(shared_url: str) -> None:
    token = Tokens(open_state(None, shared_url), SCOPES).create("ci", ["read"])
    assert Tokens(open_state(None, shared_url), SCOPES).check(token, "read").name == "ci"


def test_servers_that_start_at_once_migrate_once(shared_url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda _: open_state(None, shared_url), range(6)))
    with opened[0].reading() as connection:
        assert len(connection.execute(text("SELECT * FROM alembic_version")).all()) == 1
    for found in opened:
        found.close()


def test_a_database_of_a_newer_version_is_refused(shared_url: str) -> None:
    with open_state(None, shared_url).writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="9999") as caught:
        open_state(None, shared_url)
    assert "newer version" in str(caught.value.hint)


def test_an_exception_undoes_a_transaction(database: Database) -> None:
    tokens = Tokens(database, SCOPES)
    tokens.create("kept", ["read"])
    with pytest.raises(RuntimeError), database.writing() as connection:
        connection.execute(TOKENS.delete())
        raise RuntimeError
    assert [token.name for token in tokens.list_all()] == ["kept"]


def test_many_writers_wait_for_one_another(database: Database) -> None:
    tokens = Tokens(database, SCOPES)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: tokens.create(f"t{n}", ["read"]), range(40)))
    assert {tokens.check(text, "read").name for text in made} == {f"t{n}" for n in range(40)}


def test_tokens_live_as_the_clock_says(database: Database) -> None:
    now = [1_800_000_000.0]
    tokens = Tokens(database, SCOPES, lambda: now[0])
    token = tokens.create("ci", ["publish"], days=1)
    tokens.check(token, "publish")
    now[0] += 86400
    with pytest.raises(TokenError, match="expired"):
        tokens.check(token, "publish")


def test_what_one_server_revokes_the_others_refuse(shared_url: str) -> None:
    here, there = (Tokens(open_state(None, shared_url), SCOPES) for _ in range(2))
    token = here.create("ci", ["publish"])
    assert there.check(token, "publish").name == "ci"
    here.revoke(token.split("_")[1])
    with pytest.raises(TokenError, match="revoked"):
        there.check(token, "publish")


def test_a_state_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    database = open_state(tmp_path / "a" / "state", "")
    Tokens(database, SCOPES).create("ci", ["read"])
    assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700
    files = list((tmp_path / "a" / "state").iterdir())
    assert files and all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "bootstrap.db").write_bytes(b"nothing that SQLite has written")
    done = zos("token", "list", "--state", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot use the database: file is not a database" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_state_folder_with_odd_characters(tmp_path: Path) -> None:
    for name in ("a b%20?x=1", "100%"):
        open_state(tmp_path / name, "")
        assert (tmp_path / name / "bootstrap.db").is_file()


@pytest.mark.parametrize(
    "url", ["x", "mysql://h/d", "sqlite:////a?x=1", "postgresql://u:secret@h:x/d"]
)
def test_a_url_that_is_no_database(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_database(url)
    assert "secret" not in str(caught.value)


def test_a_database_that_is_not_there_is_told(postgres: Postgres, tmp_path: Path) -> None:
    gone = open_database(f"postgresql://u:secret@/d?host={tmp_path}")
    reason = gone.check()
    assert reason and "secret" not in reason
    assert open_database(postgres.url()).check() is None
    lost = tmp_path / "folder.db"
    lost.mkdir()
    with pytest.raises(OSError):
        open_database(f"sqlite:///{lost}")


def test_a_row_that_breaks_a_rule_is_no_trouble_of_the_database(database: Database) -> None:
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(insert(TOKENS).values(id="x"))


def test_the_command_makes_lists_and_revokes(tmp_path: Path) -> None:
    place = ("--state", str(tmp_path / "state"))
    made = zos("token", "create", "ci of me", "--scope", "publish", "--scope", "read", *place)
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    assert token.startswith("zos_")
    listed = zos("token", "list", *place)
    mark = token.split("_")[1]
    assert mark in listed.stdout and "valid" in listed.stdout and "ci of me" in listed.stdout
    assert token.split("_", 2)[2] not in listed.stdout
    assert zos("token", "revoke", mark, *place).returncode == 0
    assert '"state": "revoked"' in zos("token", "list", "--json", *place).stdout
    wrong = zos("token", "revoke", "nope", *place)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "no token 'nope'" in wrong.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "ci", "--scope", "read"), "--state DIR"),
        (("create", "ci", "--scope", "root", "--state", "{}"), "publish, nodes, read"),
        (("list", "--database", "nonsense"), "postgresql://"),
    ],
)
def test_the_command_refuses(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = zos("token", *(word.format(tmp_path) for word in words))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
