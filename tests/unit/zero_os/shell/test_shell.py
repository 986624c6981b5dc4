"""Completion and man pages: they know every verb, command, option and choice."""

import shutil
import subprocess
from pathlib import Path

import pytest

from image.cli import VERBS as IMAGE_VERBS
from tests.helpers.needs import need_tool
from zero_os.cli import VERBS, main
from zero_os.shell.commands import all_commands
from zero_os.shell.completion import SHELLS
from zero_os.shell.manual import escape, pages

DEADLINE_S = 120
COMMANDS = all_commands()
ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_zos
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(tmp_path: Path, *words: str) -> list[str]:
    script = tmp_path / "completion.bash"
    script.write_text(SHELLS["bash"](COMMANDS))
    call: list[str | Path] = ["bash", "-c", ASK, "bash", script, *words]
    done = subprocess.run(
        call, capture_output=True, text=True, timeout=DEADLINE_S, check=True, cwd=tmp_path
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_every_verb_and_its_commands_are_found() -> None:
    found = {command.words for command in COMMANDS}
    assert {("zos", name) for name in VERBS} <= found
    assert {
        ("zos", "image", "build"),
        ("zos", "flist", "pack"),
        ("zos", "hub", "serve"),
        ("zos", "zinit", "status"),
    } <= found
    assert len(found) == len(COMMANDS)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("zos", "fl"), ["flist"]),
        (("zos", "image", ""), sorted(verb.__name__.rpartition(".")[2] for verb in IMAGE_VERBS)),
        (("zos", "image", "build", "--o"), ["--output"]),
        (("zos", "vm", "--firmware", ""), ["bios", "uefi", "uefi-secure"]),
        (("zos", "vm", "--usb", "im"), ["image.img"]),
        (("zos", "flist", "unp"), ["unpack"]),
        (("zos", "zinit", "stat"), ["stats", "status"]),
    ],
)
def test_bash_offers(tmp_path: Path, words: tuple[str, ...], offered: list[str]) -> None:
    (tmp_path / "image.img").touch()
    found = complete(tmp_path, *words)
    assert sorted(word for word in found if word not in ("-h", "--help")) == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_its_script(
    tmp_path: Path, shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "prefetch" in script and "--flist-key" in script.replace("-l flist-key", "--flist-key")
    (tmp_path / "script").write_text(script)
    if shutil.which(shell):
        checked = [shell, "-n", str(tmp_path / "script")]
        subprocess.run(checked, check=True, timeout=DEADLINE_S, capture_output=True)


def test_man_pages_are_written(tmp_path: Path) -> None:
    assert main(["man", str(tmp_path / "man1")]) == 0
    names = {path.name for path in (tmp_path / "man1").iterdir()}
    assert names == {"zos.1", *(f"zos-{name}.1" for name in VERBS)}
    text = (tmp_path / "man1" / "zos-image.1").read_text()
    assert ".SS zos image build\n" in text
    assert "\\fB\\-\\-flist\\-key\\fR \\fIFILE\\fR" in text


def test_man_pages_have_no_mistakes(tmp_path: Path) -> None:
    need_tool("man")
    for name, text in pages(COMMANDS, "1").items():
        (tmp_path / name).write_text(text)
        call = ["man", "--warnings", "-l", str(tmp_path / name)]
        done = subprocess.run(call, capture_output=True, text=True, timeout=DEADLINE_S, check=True)
        assert done.stderr == "", name
        assert "ZOS" in done.stdout


def test_text_is_no_macro() -> None:
    assert escape("a\\b -x") == "a\\eb \\-x"


def test_commands_that_are_imported_when_used_show_their_options_too() -> None:
    found = {command.words: command for command in all_commands()}
    for words, flag in ((("zos", "zdb", "serve"), "--disk"), (("zos", "zdb", "check"), "--disk")):
        assert flag in [name for option in found[words].options for name in option.flags], words
