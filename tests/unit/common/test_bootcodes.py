"""The table of codes: every text can stand in a script, on a screen and on a page."""

import re

import pytest

from common.bootcodes import CODES, describe


@pytest.mark.parametrize("code", CODES)
def test_a_code_says_what_is_wrong_and_what_to_do(code: str) -> None:
    assert re.fullmatch("ZB[1-5][0-9]", code)
    wrong, todo = CODES[code]
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9 ',()?-]{9,78}", wrong)
    assert re.fullmatch(r"[A-Z][A-Za-z0-9 '.,:;()?-]*\.", todo)


def test_the_codes_are_in_order_and_each_reason_has_one() -> None:
    assert list(CODES) == sorted(CODES)
    assert len({code.wrong for code in CODES.values()}) == len(CODES)


def test_the_line_of_a_screen() -> None:
    assert describe("ZB12") == "cannot boot (ZB12): no network card got an address by DHCP"
