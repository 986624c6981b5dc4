"""Publishing to a running server: `zos image` with an address in place of a store's folder."""

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.releases.channel import Channel, read_channel
from common.tuf.trust import Trusted
from image.channel.commit import KeysMissingError
from image.channel.signers import make_key
from image.cli import main
from image.errors import ImageError
from tests.helpers.checkout import TOP
from tests.helpers.releases.site import make_token
from tests.helpers.releases.store import Maintainer, write_release
from tests.helpers.serving.process import Running, running
from tests.helpers.waiting import wait_until

COMMAND_S = 240


class Site:
    """A server, its maintainer's keys and commands, and what a node sees of it."""

    def __init__(self, top: Path, server: Running, root: bytes) -> None:
        self.top = top
        self.server = server
        self.root = root
        self.store = top / "store"
        self.token = top / "token"

    def words(self, verb: str, *words: str | Path, keys: str | None = "keys") -> list[str]:
        """Return a command with the server as its store."""
        more = ["--keys", str(self.top / keys)] if keys else []
        return [verb, *map(str, words), self.server.url, *more, "--token-file", str(self.token)]

    def zos(self, verb: str, *words: str | Path, keys: str | None = "keys") -> None:
        """Run a command in this process."""
        assert main(self.words(verb, *words, keys=keys), "zos image") == 0

    def publish(self, channel: str, version: str) -> None:
        folder = write_release(self.top / "releases" / version, version)
        self.zos("publish", "--channel", channel, "--release", folder)

    def read(self, channel: str) -> Channel:
        """Return a channel as a node sees it."""

        def fetch(name: str, _limit: int) -> bytes | None:
            answer = self.server.ask(f"/channel/metadata/{name}")
            assert answer.status in (200, 404), answer.data
            return answer.data if answer.status == 200 else None

        return read_channel(Trusted(self.root), channel, fetch, None)

    def audit(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.store / "audit.jsonl").read_text().splitlines()]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    maintainer = Maintainer.begin(tmp_path)
    (tmp_path / "token").write_text(make_token(tmp_path / "state") + "\n")
    root = tmp_path / "keys" / "root.json"
    call = [sys.executable, "-m", "tests.helpers.releases.site"]
    call += [str(tmp_path / "store"), str(root), str(tmp_path / "state")]
    with running(call, tmp_path / "log") as server:
        yield Site(tmp_path, server, maintainer.root)


def test_a_release_from_its_first_day_to_its_last(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.publish("dev", "1.0")
    assert site.read("dev").release == "1.0"
    text = site.server.ask("/kernel/dev/vmlinuz").data.decode()
    assert text.startswith("vmlinuz of 1.0")
    site.zos("promote", "dev", "prod")
    site.publish("dev", "1.1")
    site.zos("promote", "dev", "prod")
    site.zos("rollback", "prod", "--why", "hangs with two cards")
    assert [site.read(name).release for name in ("dev", "prod", "qa")] == ["1.1", "1.0", ""]
    site.zos("withdraw", "1.1", "--why", "CVE-2030-1")
    assert [site.read(name).release for name in ("dev", "prod")] == ["1.0", "1.0"]
    before = site.read("dev").trusted.versions["timestamp.json"]
    site.zos("renew")
    assert site.read("dev").trusted.versions["timestamp.json"] == before + 1
    capsys.readouterr()
    site.zos("status", keys=None)
    assert "withdrawn 1.1: CVE-2030-1" in capsys.readouterr().out
    site.zos("history", "prod", keys=None)
    actions = [line.split()[3] for line in capsys.readouterr().out.splitlines()]
    assert actions == ["promote", "promote", "rollback", "withdraw"]
    root = str(site.top / "keys" / "root.json")
    assert main(["verify", site.server.url, "--keys", root], "zos image") == 0
    assert "ok   1.1/vmlinuz" in capsys.readouterr().out
    found = [(row["name"], list(row["channels"])) for row in site.audit()]  # type: ignore[call-overload]
    assert found[0] == ("ci", ["dev"])
    assert len(found) == 7
    assert list((site.store / "incoming").glob("*/*")) == []


def test_the_page_word_for_word(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of docs/publishing.md with a server's address, one after the other."""
    page = (TOP / "docs/publishing.md").read_text()
    lines = re.findall(r"^    \./zos image (.*://boot.example.*)$", page, re.MULTILINE)
    assert len(lines) >= 7
    site.publish("dev", "1.0")
    write_release(site.top / "release", "1.1")
    monkeypatch.chdir(site.top)
    monkeypatch.delenv("ZOS_TOKEN", raising=False)
    for line in lines:
        words = shlex.split(line.replace("https://boot.example", site.server.url))
        assert main(words, "zos image") == 0, line
    assert (site.read("dev").release, site.read("test").release) == ("1.0", "1.1")


def test_a_change_that_two_people_sign(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    make_key(site.top / "second" / "prod.pem")
    pub = site.top / "second" / "prod.pub"
    with pytest.raises(KeysMissingError):
        site.zos("keys", "rotate", "prod", "--add", pub, "--threshold", "2")
    capsys.readouterr()
    site.zos("approve", keys=None)
    assert "keys of prod: +" in capsys.readouterr().out
    for name in ("snapshot.pem", "timestamp.pem", "root.json"):
        shutil.copy(site.top / "keys" / name, site.top / "second" / name)
    site.zos("approve", keys="second")
    site.zos("approve", keys=None)
    assert "no change waits" in capsys.readouterr().out
    with pytest.raises(KeysMissingError):
        site.publish("prod", "1.0")
    assert site.read("prod").release == ""
    site.zos("approve", "--drop", keys=None)
    assert not (site.store / "staged.json").exists()


def test_new_keys(site: Site) -> None:
    make_key(site.top / "keys" / "timestamp-new.pem")
    old = site.read("dev").trusted
    site.zos("keys", "rotate", "timestamp", "--add", site.top / "keys" / "timestamp-new.pem")
    site.publish("dev", "1.0")
    assert site.read("dev").trusted.root != old.root


def test_publishers_at_once(site: Site) -> None:
    """Each publishes, or says why not, and no change is lost."""
    wanted = [("dev", "1.0"), ("qa", "2.0"), ("dev", "1.1"), ("dev", "1.0")]

    def publish(number: int) -> subprocess.CompletedProcess[str]:
        channel, version = wanted[number]
        folder = write_release(site.top / f"r{number}", version)
        words = site.words("publish", "--channel", channel, "--release", folder)
        words += ["--by", f"publisher {number}"]
        call = [sys.executable, "-m", "zero_os", "image", *words]
        return subprocess.run(call, capture_output=True, text=True, timeout=COMMAND_S, cwd=TOP)

    with ThreadPoolExecutor() as pool:
        ends = list(pool.map(publish, range(len(wanted))))
    failures = [end.stderr for end in ends if end.returncode]
    assert len(failures) == 1, ends  # one of the two 1.0 comes second
    assert "1.0" in failures[0]
    assert site.read("qa").release == "2.0"
    site.zos("history", "dev", keys=None)
    assert site.read("dev").sequence == 3


def test_what_a_client_lacks(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_release(site.top / "r", "1.0")
    words = ["publish", "--channel", "dev", "--release", str(folder), site.server.url]
    keys = ["--keys", str(site.top / "keys")]
    monkeypatch.delenv("ZOS_TOKEN", raising=False)
    with pytest.raises(ImageError, match="without a token"):
        main([*words, *keys], "zos image")
    monkeypatch.setenv("ZOS_TOKEN", f"zos_{'0' * 8}_{'x' * 43}")
    with pytest.raises(ImageError, match="answers 401: the token is not valid"):
        main([*words, *keys], "zos image")
    monkeypatch.setenv("ZOS_TOKEN", make_token(site.top / "state", "read"))
    with pytest.raises(ImageError, match="answers 403: the token lacks the scope publish"):
        main([*words, *keys], "zos image")
    monkeypatch.setenv("ZOS_TOKEN", site.token.read_text())
    pem = ["--keys", str(site.top / "keys" / "dev.pem")]
    with pytest.raises(ImageError, match="no trusted root"):
        main([*words, *pem], "zos image")
    assert site.read("dev").release == ""


def test_a_client_that_never_ends_leaves_nothing(site: Site) -> None:
    head = (
        f"PUT /api/store/sha256/{'0' * 64} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
        f"Authorization: Bearer {site.token.read_text().strip()}\r\n\r\n"
    )
    with socket.create_connection(site.server.address, 60) as stream:
        stream.sendall(head.encode() + b"x" * 1000)
        wait_until(lambda: files(site), "the beginning of the upload")
        while stream.recv(65536):  # until the server gives up
            pass
    wait_until(lambda: not files(site), "the end of the upload")
    assert not (site.store / "sha256" / ("0" * 64)).exists()


def files(site: Site) -> list[Path]:
    return list((site.store / "incoming" / "files").glob(".*"))


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.matrix)])
@pytest.mark.timeout(900)
def test_deaths_while_publishing(tmp_path: Path, step: int) -> None:
    """Server and client are killed; all stays valid, and the command can be run again."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.releases.crash_site", tmp_path, str(step)],
        capture_output=True,
        text=True,
        timeout=900,
        cwd=TOP,
    )
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r"^(server|client): (\d+)$", done.stdout, re.MULTILINE))
    assert int(found["server"]) >= 20
    assert int(found["client"]) >= 40
