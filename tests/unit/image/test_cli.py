"""The options of `zos image build`."""

from pathlib import Path

import pytest

from common.efi.errors import EfiError
from common.errors import UsageError
from image.cli import main, make_parser


def test_an_empty_folder_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser("zos image").parse_args(["build", "--output", ""])
    assert "the folder has no name" in capsys.readouterr().err


def test_a_key_that_can_not_be_used_is_refused_before_the_build(tmp_path: Path) -> None:
    words = ["build", "--output", str(tmp_path / "out"), "--secure-boot-key", str(tmp_path / "key")]
    with pytest.raises(UsageError, match="go together"):
        main(words, "zos image")
    with pytest.raises(EfiError, match="cannot read the key"):
        main([*words, "--secure-boot-certificate", str(tmp_path / "crt")], "zos image")
    assert not (tmp_path / "out").exists()
