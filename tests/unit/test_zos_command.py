"""The front door: every verb on one screen, imported only when used."""

import subprocess
import sys

import pytest

from zero_os.cli import VERBS, main


def test_help_lists_every_verb_on_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 24
    assert all(f"  {name} " in text for name in VERBS)


def test_an_unknown_verb_says_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
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
