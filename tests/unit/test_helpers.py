"""The test helpers: missing requirements, and waits."""

import os
from typing import Any

import pytest

from tests.helpers.needs import need_root, need_tool
from tests.helpers.waiting import wait_until


@pytest.mark.parametrize(("place", "outcome"), [("CI", pytest.fail), ("", pytest.skip)])
def test_a_missing_requirement_is_named(
    place: str, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", place)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(outcome.Exception, match="root"):
        need_root()
    with pytest.raises(outcome.Exception, match="no-such-tool is not installed"):
        need_tool("no-such-tool")
    assert need_tool("no-such-tool", "sh").endswith("/sh")


def test_a_wait_that_fails_shows_the_last_value() -> None:
    seen = iter([0, 0, 7])
    assert wait_until(lambda: next(seen), "a number", 5) == 7

    def refuse() -> bool:
        raise FileNotFoundError("not yet")

    with pytest.raises(AssertionError, match="a file; last seen: FileNotFoundError"):
        wait_until(refuse, "a file", 0.1)
