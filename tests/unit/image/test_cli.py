"""The options of `zos image build`."""

import pytest

from image.cli import make_parser


def test_an_empty_folder_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser("zos image").parse_args(["build", "--output", ""])
    assert "the folder has no name" in capsys.readouterr().err
