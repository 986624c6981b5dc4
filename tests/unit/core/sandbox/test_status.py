"""Whom a daemon runs as is compared with its profile."""

import pytest

from core.places import CAPACITY
from core.sandbox.profile import Profile
from core.sandbox.status import SandboxError, check_privileges

READER = Profile("capacity", CAPACITY, capabilities=frozenset({"DAC_READ_SEARCH"}))
GOOD = {
    "Uid": "702\t702\t702\t702",
    "Gid": "702\t702\t702\t702",
    "Groups": "702",
    "CapInh": "0000000000000004",
    "CapPrm": "0000000000000004",
    "CapEff": "0000000000000004",
    "CapBnd": "0000000000000004",
}


def status(**changes: str) -> str:
    return "".join(f"{name}:\t{value}\n" for name, value in (GOOD | changes).items())


def test_a_process_that_is_what_its_profile_says_may_run() -> None:
    check_privileges(status(), READER)
    check_privileges(status(Groups=""), READER)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"Uid": "0\t0\t0\t0"}, "its user is 0, and not 702"),
        ({"Uid": "702\t0\t702\t702"}, "its user is 0, 702, and not 702"),
        ({"Gid": "0\t0\t0\t0"}, "its group is 0, and not 702"),
        ({"Groups": "0 702"}, "it is in the groups 0, too"),
        ({"CapPrm": "0000000000200004"}, "it has SYS_ADMIN in CapPrm, too"),
        ({"CapBnd": "000001ffffffffff"}, "SYS_ADMIN"),
        ({"CapBnd": "8000000000000004"}, "it has 63 in CapBnd, too"),
        ({"CapEff": "0000000000000000"}, "it lacks DAC_READ_SEARCH in CapEff"),
        ({"CapEff": "no"}, "can't be read"),
    ],
)
def test_any_other_process_may_not(changes: dict[str, str], told: str) -> None:
    with pytest.raises(SandboxError, match="cannot run as capacity") as caught:
        check_privileges(status(**changes), READER)
    assert told in caught.value.message


def test_a_status_without_the_fields_is_refused() -> None:
    with pytest.raises(SandboxError):
        check_privileges("", READER)
