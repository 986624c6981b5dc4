"""The `zos` command: its help, and that it imports a verb only when used."""

import subprocess
import sys
from pathlib import Path

import pytest

from zero_os.cli import VERBS, Verb, main


def test_help_lists_every_verb_on_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 24
    assert all(f"  {name} " in text for name in VERBS)


def test_an_unknown_verb_has_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bot"]) == 2
    assert capsys.readouterr().err == (
        "zos bot: unknown verb 'bot'\n  hint: `zos --help` lists them all\n"
    )


def test_help_imports_no_verb() -> None:
    code = (
        "import sys; from zero_os.cli import main; main(['--help']);"
        "print(sorted({m.partition('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for package in ("flist", "image", "zinit", "qemu", "bootstrap_server", "rich", "fastapi"):
        assert f"'{package}'" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["help", "vm"], "usage: zos vm "),
        (["help", "image", "build"], "usage: zos image build "),
        (["help", "flist", "pack"], "usage: zos flist pack "),
        (["flist", "help", "pack"], "usage: zos flist pack "),
        (["check", "--help"], "usage: zos check"),
        (["help", "help"], "usage: zos VERB"),
    ],
)
def test_help_of_a_verb(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)  # undoes the change of folder that `check` makes
    assert main(words) == 0
    assert capsys.readouterr().out.startswith(said)


def test_a_verb_that_a_node_does_not_have(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(VERBS, "boot", Verb("zero_os.no_such_room.cli", "boot"))
    assert main(["boot"]) == 2
    assert (
        capsys.readouterr().err == "zos boot: cannot run zos boot here: a node does not have it\n"
    )
