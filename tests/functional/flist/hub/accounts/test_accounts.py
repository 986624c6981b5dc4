"""A hub from `zos hub init` on: commands change accounts while it serves, and people sign in."""

import contextlib
import io
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.errors import run_command
from flist import cli as flist_cli
from flist.hub import cli as hub_cli
from tests.helpers.serving.process import Running, running

CALL = [sys.executable, "-m", "zero_os"]
COMMAND_S = 120


@dataclass(frozen=True)
class Done:
    """How a command has ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Site:
    """A hub that answers, its folder, and the folder of a user's settings."""

    server: Running
    root: Path
    home: Path

    def zos(self, verb: str, *words: str | Path, given: str = "") -> Done:
        """Run a command of `zos` in this process, which saves a second for each."""
        main = {"hub": hub_cli.main, "flist": flist_cli.main}[verb]
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.setattr(sys, "stdin", io.StringIO(given))
            patch.setenv("XDG_CONFIG_HOME", str(self.home))
            patch.delenv("RFS_TOKEN", raising=False)
            name = f"zos {verb}"
            status = run_command(lambda argv: main(argv, name), [str(word) for word in words], name)
        return Done(status, out.getvalue(), err.getvalue())

    def hub(self, *words: str | Path, given: str = "") -> str:
        """Run a command of `zos hub` that succeeds; return what it prints."""
        done = self.zos("hub", *words, "--root", self.root, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, path: str, token: str) -> int:
        """Return the status of a GET with a token."""
        return self.server.ask(path, authorization=f"Bearer {token}").status


@pytest.fixture(name="shared", scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run one hub for all tests of this file."""
    folder = tmp_path_factory.mktemp("site")
    call = [*CALL, "hub", "init", "--admin", "operator", "--root", str(folder / "hub")]
    given = "operator-password\n"
    subprocess.run(call, input=given, text=True, check=True, timeout=COMMAND_S)
    words = ["hub", "serve", str(folder / "hub"), "--listen", "127.0.0.1:0"]
    with running([*CALL, *words, "--sign-in-per-minute", "0"], folder / "log") as server:
        site = Site(server, folder / "hub", folder)
        site.hub("user", "add", "alice", given="alice-password\n")
        site.hub("repository", "create", "tf", "--owner", "alice", "--private")
        yield site


@pytest.fixture(name="site")
def make_site(shared: Site, tmp_path: Path) -> Site:
    """Give the hub with a user whose settings are empty."""
    return Site(shared.server, shared.root, tmp_path / "settings")


def log_in(site: Site, *words: str | Path, given: str) -> Done:
    """Sign in as alice."""
    return site.zos("flist", "login", site.server.url, *words, given=given)


def kept(site: Site) -> dict[str, dict[str, object]]:
    """Return what is kept of sign-ins."""
    path = site.home / "zero-os" / "tokens.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found: dict[str, dict[str, object]] = json.loads(path.read_text())
    return found


def upload(site: Site, folder: Path, text: str) -> Done:
    """Upload a file without naming a token."""
    (folder / "file").write_text(text)
    return site.zos("flist", "upload", folder / "file", "-s", site.server.url)


def test_who_has_signed_in_uploads_without_naming_a_token(site: Site, tmp_path: Path) -> None:
    assert upload(site, tmp_path, "one").returncode != 0
    done = log_in(site, "-u", "alice", given="alice-password\n")
    assert (done.returncode, done.stdout) == (0, f"signed in to {site.server.url} as alice\n")
    row = kept(site)[site.server.url]
    assert (row["user"], row["is_session"]) == ("alice", True)
    done = upload(site, tmp_path, "one")
    assert done.returncode == 0, done.stderr
    store = f"server://{site.server.url}"
    done = site.zos("flist", "pack", "-m", tmp_path / "a.fl", "-s", store, tmp_path)
    assert done.returncode == 0, done.stderr
    assert site.zos("flist", "logout", f"{site.server.url}/").returncode == 0
    assert kept(site) == {}
    assert site.ask("/api/v1/account", str(row["token"])) == 401
    assert upload(site, tmp_path, "two").returncode != 0
    again = site.zos("flist", "logout", site.server.url)
    assert again.returncode != 0
    assert "no token is kept" in again.stderr


def test_a_wrong_password_keeps_nothing(site: Site) -> None:
    done = log_in(site, "-u", "alice", given="wrong-password\n")
    assert done.returncode != 0
    assert "refused" in done.stderr
    assert not site.home.exists()


def test_a_key_file_signs_in(site: Site, tmp_path: Path) -> None:
    assert site.zos("flist", "keygen", tmp_path / "key").returncode == 0
    assert log_in(site, "-u", "alice", "-k", tmp_path / "key", given="").returncode != 0
    site.hub("user", "key", "alice", tmp_path / "key.pub")
    done = log_in(site, "-u", "alice", "-k", tmp_path / "key", "--scope", "read", given="")
    assert done.returncode == 0, done.stderr
    assert upload(site, tmp_path, "x").returncode != 0, "the scope is too small"
    site.hub("user", "key", "alice", "none")
    assert log_in(site, "-u", "alice", "-k", tmp_path / "key", given="").returncode != 0


def test_a_token_that_was_handed_over_outlives_the_logout(site: Site, tmp_path: Path) -> None:
    token = site.hub("token", "create", "alice", "ci", "--scope", "read", "--scope", "upload")
    done = log_in(site, "--with-token", given=token)
    assert done.returncode == 0, done.stderr
    assert upload(site, tmp_path, "three").returncode == 0
    assert site.zos("flist", "logout", site.server.url).returncode == 0
    assert site.ask("/api/v1/account", token.strip()) == 200
    assert log_in(site, "--with-token", given="zos_00000000_" + "A" * 43).returncode != 0


def test_a_file_that_others_can_read_is_refused(site: Site, tmp_path: Path) -> None:
    assert log_in(site, "-u", "alice", given="alice-password\n").returncode == 0
    path = site.home / "zero-os" / "tokens.json"
    path.chmod(0o644)
    done = upload(site, tmp_path, "four")
    assert done.returncode != 0
    assert "chmod 600" in done.stderr
    path.chmod(0o600)
    path.write_text("{")
    assert "damaged" in upload(site, tmp_path, "four").stderr


def test_what_the_operator_revokes_is_refused_at_once(site: Site) -> None:
    token = site.hub("token", "create", "alice", "ci", "--scope", "read", "--days", "1").strip()
    assert site.ask("/api/v1/account", token) == 200
    assert site.ask("/api/v1/repositories/tf", token) == 200
    (row,) = [row for row in json.loads(site.hub("token", "list", "alice", "--json"))
              if row["id"] == token.split("_")[1]]  # fmt: skip
    assert (row["state"], row["scopes"], row["name"]) == ("valid", ["read"], "ci")
    site.hub("user", "disable", "alice")
    assert site.ask("/api/v1/account", token) == 401
    site.hub("user", "enable", "alice")
    assert site.ask("/api/v1/account", token) == 200
    site.hub("token", "revoke", row["id"])
    assert site.ask("/api/v1/account", token) == 401


def test_groups_and_repositories_change_while_the_hub_serves(site: Site) -> None:
    site.hub("user", "add", "bob", "--no-password")
    token = site.hub("token", "create", "bob", "ci", "--scope", "read").strip()
    site.hub("group", "add", "team")
    site.hub("repository", "owner", "tf", "team")
    assert site.ask("/api/v1/repositories/tf", token) == 404
    site.hub("group", "join", "team", "bob", "alice")
    assert site.ask("/api/v1/repositories/tf", token) == 200
    groups = json.loads(site.hub("group", "list", "--json"))
    assert groups == [{"name": "team", "members": ["alice", "bob"]}]
    site.hub("group", "leave", "team", "bob")
    assert site.ask("/api/v1/repositories/tf", token) == 404
    site.hub("repository", "public", "tf")
    assert site.server.ask("/api/v1/repositories/tf").status == 200
    site.hub("repository", "private", "tf")
    assert site.server.ask("/api/v1/repositories/tf").status == 404
    site.hub("repository", "owner", "tf", "alice")
    site.hub("group", "remove", "team")
    site.hub("user", "quota", "bob", "20G")
    site.hub("user", "remove", "bob")
    assert "bob" not in site.hub("user", "list")
    lines = json.loads(site.hub("audit", "--action", "group", "--json"))
    assert [line["action"] for line in lines][-3:] == ["group.add", "group.add", "group.remove"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["user", "add", "alice"], "already"),
        (["user", "add", "a/b"], "cannot name an account"),
        (["user", "password", "nobody"], "no account"),
        (["audit", "--lines", "-1"], "cannot show -1 lines"),
        (["user", "remove", "operator"], "only administrator"),
        (["user", "key", "alice", "/nowhere"], "cannot read keys"),
        (["user", "quota", "alice", "much"], "is not a size"),
        (["token", "create", "alice", "x", "--scope", "all"], "no scope 'all'"),
        (["token", "create", "nobody", "x", "--scope", "read"], "no account"),
        (["token", "revoke", "00000000"], "no token"),
        (["group", "join", "alice", "operator"], "no group"),
        (["repository", "create", "api", "--owner", "alice"], "cannot use"),
        (["repository", "keep", "tf", "many"], "cannot keep"),
        (["repository", "private", "absent"], "no repository"),
    ],
)
def test_commands_say_what_is_wrong(site: Site, words: list[str], text: str) -> None:
    done = site.zos("hub", *words, "--root", site.root, given="long enough\n")
    assert done.returncode in (1, 2)
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plain_folder_is_not_made_a_hub_by_accident(site: Site, tmp_path: Path) -> None:
    (tmp_path / "flists").mkdir()
    done = site.zos("hub", "user", "list", "--root", tmp_path)
    assert done.returncode == 2
    assert "zos hub init" in done.stderr
    assert not (tmp_path / "hub.db").exists()
