"""The kernel command line: upstream's keys, repeated keys, invalid values."""

import pytest

from node.cmdline import parse_parameters, parse_words
from node.model import BootParameters, NodeError

HUB = "hub=http://10.0.2.2:8080"


def parse(text: str) -> BootParameters:
    """Parse a command line with nothing to tell about."""
    told: list[str] = []
    parameters = parse_parameters(text, told.append)
    assert told == []
    return parameters


def test_the_words_of_the_boot_script() -> None:
    text = f"BOOT_IMAGE=vmlinuz runmode=dev farmer_id=7 {HUB}/ console=ttyS0\n"
    assert parse(text) == BootParameters("dev", 7, ("http://10.0.2.2:8080",))


def test_the_defaults_are_upstreams() -> None:
    assert parse(HUB) == BootParameters("prod", 0, ("http://10.0.2.2:8080",))


def test_the_first_of_repeated_keys_counts() -> None:
    parameters = parse(f"runmode=test farmer_id=1 {HUB} runmode=dev farmer_id=2 hub=x")
    assert parameters == BootParameters("test", 1, ("http://10.0.2.2:8080",))


def test_several_hubs_are_named_with_commas_each_once() -> None:
    assert parse("hub=http://a,https://b/hub/,http://a/").hubs == ("http://a", "https://b/hub")


def test_the_run_mode_names_the_flist() -> None:
    names = {mode: BootParameters(mode, 1, ()).flist_name for mode in ("dev", "qa", "test", "prod")}
    assert names == {
        "dev": "tf-zos/development",
        "qa": "tf-zos/qa",
        "test": "tf-zos/testing",
        "prod": "tf-zos/production",
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"runmode=staging {HUB}", "runmode=staging"),
        (f"farmer_id=-1 {HUB}", "farmer_id=-1"),
        (f"farmer_id=4294967296 {HUB}", "farmer_id=4294967296"),
        (f"farmer_id=٣ {HUB}", "farmer_id=٣"),
        (f"farmer_id={'9' * 5000} {HUB}", "farmer_id=999"),
        ("runmode=dev", "hub="),
        ("hub=ftp://x", "hub=ftp://x"),
        ("hub=http://", "hub=http://"),
        ("hub=http://h:port", "hub=http://h:port"),
        ("hub=http://h,", "hub="),
        ("hub=http://h,ftp://x", "hub=ftp://x"),
        ("hub=" + ",".join(f"http://h{n}" for n in range(9)), "hub="),
    ],
)
def test_an_invalid_word_is_named(text: str, named: str) -> None:
    with pytest.raises(NodeError, match=r"cannot use") as caught:
        parse(text)
    assert named in caught.value.message


def test_another_kernel_is_started_only_if_that_is_said() -> None:
    found = [parse(f"{HUB} {word}").kexec for word in ("", "update.kexec=no", "update.kexec=yes")]
    assert found == [False, False, True]


def test_words_without_a_value() -> None:
    assert parse_words("quiet a=b=c  quiet=1") == {"quiet": "", "a": "b=c"}


def test_the_words_of_a_bootstrap_server() -> None:
    words = "bootstrap=https://boot.example.com/ enrol=zos1.Ab-_9.x= net.proxy=http://proxy:3128"
    assert parse(f"{HUB} {words}") == BootParameters(
        "prod",
        0,
        ("http://10.0.2.2:8080",),
        bootstrap="https://boot.example.com",
        enrol="zos1.Ab-_9.x=",
        proxy="http://proxy:3128",
    )


@pytest.mark.parametrize(
    "word",
    [
        "enrol=a,secret",
        f"enrol={'a' * 1025}",
        "net.proxy=proxy:3128",
        "bootstrap=boot.example.com",
        "update.kexec=1",
    ],
)
def test_a_word_that_a_node_can_do_without(word: str) -> None:
    told: list[str] = []
    assert parse_parameters(f"{HUB} {word}", told.append) == parse(HUB)
    (line,) = told
    assert line.startswith(f"cannot use {word.partition('=')[0]}=")
    assert "secret" not in line
