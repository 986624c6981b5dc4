"""The door to tpm2-tools: deadlines, answers of the TPM, sessions that end."""

import os
import time
from pathlib import Path

import pytest

from core.identity.tools import Tools, TpmError, TpmRefusedError, is_refusal


def write_tool(folder: Path, script: str) -> None:
    """Write the program that is run in place of tpm2."""
    folder.mkdir()
    (folder / "tpm2").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "tpm2").chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return Tools(tmp_path, "none", task_s=1.0)


def test_a_slow_tpm_costs_no_more_than_the_task_may_take(tools: Tools, tmp_path: Path) -> None:
    write_tool(tmp_path / "bin", "sleep 1000")
    begun = time.monotonic()
    with pytest.raises(TpmError, match="did not end within"):
        tools.run("unseal")
    with pytest.raises(TpmError, match="too long to answer"):
        tools.run("unseal")
    assert time.monotonic() - begun < 30


def test_a_command_that_hangs_is_named(tools: Tools, tmp_path: Path) -> None:
    write_tool(tmp_path / "bin", "sleep 1000")
    patient = Tools(tmp_path, "none", task_s=60.0, command_s=0.5)
    with pytest.raises(TpmError, match=r"^unseal: tpm2 did not end within"):
        patient.run("unseal")


def test_what_the_tpm_answers_is_told_in_one_line(tools: Tools, tmp_path: Path) -> None:
    said = "WARNING: x\nERROR: Esys_Unseal(0x99D) - tpm:session(1):a policy check failed\nERROR: no"
    write_tool(tmp_path / "bin", f"printf '{said}' >&2; exit 1")
    with pytest.raises(TpmRefusedError) as caught:
        tools.run("unseal")
    assert caught.value.message == (
        "the TPM refuses unseal: ERROR: Esys_Unseal(0x99D) - tpm:session(1):a policy check failed"
    )


def test_a_missing_tool_is_named(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(TpmError, match="cannot run tpm2: not found"):
        tools.run("unseal")


def test_a_session_is_ended_whatever_happens(tools: Tools, tmp_path: Path) -> None:
    write_tool(tmp_path / "bin", 'echo "$*" >> calls; test "$1" != fail')
    with pytest.raises(TpmError):
        with tools.session("--policy-session") as session:
            tools.run("fail")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == [
        f"startauthsession -S {session} --policy-session",
        "fail",
        f"flushcontext {session}",
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0x99D, True), (0x9D, True), (0x2DB, True), (0x128, True), (0x921, False), (0x18B, False)],
)
def test_refusals_are_told_from_faults(code: int, expected: bool) -> None:
    assert is_refusal(code) == expected
