"""Errors and interrupts: what a user sees, and the exit status."""

import pytest

from common.errors import UsageError, ZosError, run_command


def test_an_error_gives_a_line_a_hint_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(argv: object) -> int:
        raise ZosError("cannot do it: no", hint="try this")

    assert run_command(fail, [], "zos x") == 1
    assert capsys.readouterr().err == "zos x: cannot do it: no\n  hint: try this\n"


def test_usage_errors_and_interrupts_have_their_own_status() -> None:
    def misuse(argv: object) -> int:
        raise UsageError("what?")

    def interrupt(argv: object) -> int:
        raise KeyboardInterrupt

    assert run_command(misuse, [], "zos") == 2
    assert run_command(interrupt, [], "zos") == 130
