"""Every client command and flag of upstream's `rfs` is accepted."""

import argparse
import importlib
import logging
import shlex
from pathlib import Path

import pytest

from flist import cli
from flist.errors import FlistError
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import Inode, Route

HASH = "0123456789abcdef" * 4
LINES = f"""
mount -m a.fl -c /tmp/cache -d -l log mnt
mount --meta a.fl --cache /tmp/cache --daemon --log log mnt
pack -m a.fl -s dir:///a -s 80-ff=dir:///b --no-strip-password tree
pack --meta a.fl --store dir:///a tree
unpack -m a.fl -c cache -p out
unpack --meta a.fl --cache cache --preserve-ownership out
clone -m a.fl -s dir:///a -s dir:///b -c cache
clone --meta a.fl --store dir:///a --cache cache
config -m a.fl tag list
config -m a.fl tag add -t k=v -t l=w
config -m a.fl tag add --tag k=v
config -m a.fl tag delete -k k
config -m a.fl tag delete --key k
config -m a.fl tag delete -a
config -m a.fl tag delete --all
config -m a.fl store list
config -m a.fl store add -s dir:///a
config -m a.fl store add --store 00-7f=dir:///a
config -m a.fl store delete -s dir:///a
config -m a.fl store delete --store dir:///a
config -m a.fl store delete -a
config --meta a.fl store delete --all
docker -i redis -s dir:///a
docker --image-name redis -s dir:///a
docker --image redis --store dir:///a --username u --password p --auth x
docker -i redis -s dir:///a --email e --server-address h
docker -i redis -s dir:///a --identity-token t --registry-token t
upload file -s http://h -b 1048576 --token t
upload file --server http://h --block-size 1048576
upload-dir dir -s http://h -b 1048576 --create-flist --flist-output a.fl --token t
download {HASH} -o out -s http://h
download {HASH} --output out --server http://h
download-dir {HASH} -o out -s http://h
download-dir {HASH} --output out --server http://h
exists file -s http://h -b 1048576
exists {HASH} --server http://h --block-size 1048576
exists {HASH}
flist-create dir -o a.fl -s http://h -b 1048576 --token t
flist-create dir --output a.fl --server http://h
flist tree a.fl
flist tree {HASH} --server-url http://h
flist inspect {HASH} --server-url http://h
website-publish dir -s http://h -b 1048576 --token t
website-publish dir --server http://h --block-size 1048576
sync -h {HASH} -s http://a -d http://b --token t
sync --hash {HASH} --source http://a --destination http://b
sync -h {HASH} -b 1048576
sync --block-size 1048576
token -u name -p password -s http://h
token --username name --password password --server http://h
track -s http://h --token t -d
track --server http://h --token t --details
track-blocks -s http://h --token t -h {HASH} -d
track-blocks --server http://h --hash {HASH} --details
track-blocks -s http://h --token t -a -d
track-blocks -s http://h --all
track-website {HASH} -s http://h -d
track-website {HASH} --server http://h --details
"""


@pytest.mark.parametrize("line", LINES.strip().splitlines())
def test_upstreams_command_line_is_accepted(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line)
    name = words[1] if words[0] == "flist" else words[0]
    module = importlib.import_module(cli.COMMANDS[name].module)
    seen: list[argparse.Namespace] = []

    def note(options: argparse.Namespace) -> int:
        seen.append(options)
        return 7

    monkeypatch.setattr(module, "run", note)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    for all_words in (words, ["--debug", "--debug", *words], [words[0], "--debug", *words[1:]]):
        assert cli.main(all_words, "rfs") == 7
        assert seen[-1].debug == ("--debug" in all_words)
    if HASH in words:
        assert HASH in map(str, vars(seen[0]).values())


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit) as ended:
            cli.main([name, "-h"], "rfs")
        assert ended.value.code == 0
        assert name in capsys.readouterr().out


def test_help_shows_the_default_cache(capsys: pytest.CaptureFixture[str]) -> None:
    for name, said in (("unpack", "default /tmp/cache"), ("verify", "default none")):
        with pytest.raises(SystemExit):
            cli.main([name, "-h"], "rfs")
        assert said in " ".join(capsys.readouterr().out.split())


def test_defaults_are_upstreams(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[argparse.Namespace] = []

    def note(options: argparse.Namespace) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr("flist.commands.sync.run", note)
    monkeypatch.setattr("flist.commands.exists.ask_server", note)
    for words in (["sync"], ["exists", HASH]):
        cli.main(words, "rfs")
    assert (seen[0].source, seen[0].destination) == (
        "http://localhost:8080", "http://localhost:8081",
    )  # fmt: skip
    assert seen[1].targets == ["http://localhost:8080"]


def test_lists_of_config_look_as_upstreams(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only under upstream's name of the command."""
    meta = str(tmp_path / "a.fl")
    routes = [Route(0, 127, "dir:///a"), Route(128, 255, "dir:///b")]
    root = Inode(1, 0, b"/", 4096, 0, 0, 0o40755, 0, 0, 0)
    write_flist(tmp_path / "a.fl", Tables([root], {}, {}, {"a": "1", "b": "2"}, routes))

    def run(*words: str, prog: str = "rfs") -> str:
        assert cli.main(["config", "-m", meta, *words], prog) == 0
        return capsys.readouterr().out

    assert run("tag", "list") == "tags:\n\ta=1\n\tb=2\n"
    assert run("tag", "list", prog="zos flist") == "a=1\nb=2\n"
    stores = "routes:\n\trange:[0-127] store:dir:///a\n\trange:[128-255] store:dir:///b\n"
    assert run("store", "list") == stores
    run("tag", "delete", "-k", "none", "-k", "a")
    assert run("tag", "list") == "tags:\n\tb=2\n"
    with pytest.raises(FlistError):
        run("tag", "delete", "-k", "none", prog="zos flist")
    run("tag", "delete", "-a")
    assert run("tag", "list") == ""
