"""User input that is accepted, and user input that is refused."""

import random
import re
from urllib.parse import parse_qsl, urljoin

import pytest

from bootstrap_server.errors import InputError, NotThereError
from bootstrap_server.options.model import Options, parse_farm, parse_run_mode
from bootstrap_server.options.parameters import (
    EXTRA_MAX_CHARS,
    PARAMETER_MAX_CHARS,
    PARAMETERS_MAX,
    parse_extra,
)
from bootstrap_server.options.parse import parse_address, split_path
from common.farms import FARM_MAX

SHELL_WORD = re.compile(r"[A-Za-z0-9._:,=@+%-]+")
DOCUMENTED = [
    "zos-debug",
    "zos-debug-vm",
    "disable-gpu",
    "missing-ssd",
    "vlan:priv=10",
    "vlan:pub=none",
    "pub:mac=swap",
    "substrate=wss://tfchain.example/ws",
    "relay=wss://relay.example",
    "activation=https://activation.example/activation/activate",
    "secret=aB3",
    "ssh-user=someone",
    "domain=example.org",
    "light",
    "console=ttyS1,115200n8",
    "8250.nr_uarts=4",
]


@pytest.mark.parametrize("mode", ["dev", "qa", "test", "prod"])
def test_run_modes(mode: str) -> None:
    assert parse_run_mode(mode) == mode


@pytest.mark.parametrize("mode", ["", "DEV", "dev ", "dev\n", "production", "../dev", "dev/1"])
def test_other_run_modes_are_refused(mode: str) -> None:
    with pytest.raises(NotThereError):
        parse_run_mode(mode)


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("42", 42), (str(FARM_MAX), FARM_MAX)])
def test_farm_numbers(text: str, number: int) -> None:
    assert parse_farm(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "00",
        "01",
        "+1",
        "-1",
        " 1",
        "1 ",
        "1\n",
        "1.0",
        "1e3",
        "0x1",
        "1_0",
        "\uff11",
        "\u0663",
        str(FARM_MAX + 1),
        "9" * 5000,
        "1\x00",
        "1%0A",
        "${net0/mac}",
        "1 || reboot",
    ],
)
def test_what_is_not_a_farm_number(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_farm(text)
    assert caught.value.field == "farm"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("word", DOCUMENTED)
def test_documented_parameters_pass(word: str) -> None:
    assert parse_extra(word) == (word,)


@pytest.mark.parametrize("word", DOCUMENTED)
def test_documented_parameters_are_passed_on(word: str) -> None:
    parse_address(["dev", "1", word]).check_allowed()


@pytest.mark.parametrize("word", ["mem=1G", "modprobe.blacklist=e1000e", "zos-v3.efi", "x"])
def test_other_parameters_need_the_operator(word: str) -> None:
    boot = parse_address(["dev", "1", f"zos-debug {word}"])
    name = word.partition("=")[0]
    with pytest.raises(InputError, match=name) as caught:
        boot.check_allowed(["other"])
    assert caught.value.field == "extra"
    boot.check_allowed(["other", name])
    parse_address(["dev", "1", "a_b"]).check_allowed(["a-b"])  # one name to the kernel


def test_a_part_that_follows_the_parameters_is_a_kernel() -> None:
    for text in (b"zos-debug%20vlan:priv=3", b"x=a_%2Fb", b"", b"zos-debug/"):
        assert not parse_address(split_path(b"dev/1/" + text)).release
    for text in (b"zos-debug/zos-v3.efi", b"/zos-v3.efi"):
        assert parse_address(split_path(b"dev/1/" + text)).release == "zos-v3.efi"
    for text in (b"zos-debug/zos-v3.efi/5", b"zos-debug//"):
        with pytest.raises(NotThereError, match="nothing"):
            parse_address(split_path(b"dev/1/" + text))
    for text in (b"..", b".", b"net%2Fprod.efi", b"%2e%2e", b"a%00"):
        with pytest.raises(NotThereError, match="no such kernel"):
            parse_address(split_path(b"dev/1/zos-debug/" + text))


def test_the_file_name_tells_the_parameters() -> None:
    names = {parse_address(["dev", "7", extra]).file_name for extra in ("", "zos-debug", "light")}
    assert "zero-os-dev-farm7" in names
    assert len(names) == 3
    assert (
        parse_address(["dev", "7", " light "]).file_name
        == parse_address(["dev", "7", "light"]).file_name
    )


def test_three_underscores_stand_for_a_slash() -> None:
    assert parse_extra("relay=wss:______relay.example") == ("relay=wss://relay.example",)


def test_spaces_separate_parameters() -> None:
    assert parse_extra("  zos-debug   vlan:priv=3 ") == ("zos-debug", "vlan:priv=3")


@pytest.mark.parametrize(
    "name",
    ["init", "rdinit", "initrd", "root", "runmode", "farmer_id", "hub", "version", "farmer-id"],
)
def test_refused_parameters_say_why(name: str) -> None:
    for word in (name, f"{name}=x", f"zos-debug {name}=/bin/sh"):
        with pytest.raises(InputError, match=r"is set by|would") as caught:
            parse_extra(word)
        assert name.replace("-", "_") in caught.value.message


def test_a_refused_name_inside_another_is_fine() -> None:
    assert parse_extra("init_on_alloc=1 rootwait") == ("init_on_alloc=1", "rootwait")


@pytest.mark.parametrize(
    "text",
    ["-", "--", "--name=x", "=x", ".x", "LD_PRELOAD=x", "PYTHONPATH=/tmp", "_x", ":failed", "@x"],
)
def test_parameters_start_with_a_lower_case_letter_or_digit(text: str) -> None:
    with pytest.raises(InputError):
        parse_extra(text)


@pytest.mark.parametrize(
    "character",
    [chr(code) for code in range(256) if not chr(code).isalnum()] + ["é", "￼", "\u2028"],
)
def test_every_other_character_is_refused(character: str) -> None:
    if character in "._:,=/@+- ":
        assert parse_extra(f"a{character}b")
    else:
        with pytest.raises(InputError):
            parse_extra(f"a{character}b")


def test_limits() -> None:
    assert len(parse_extra(" ".join(["a"] * PARAMETERS_MAX))) == PARAMETERS_MAX
    assert parse_extra("a" * PARAMETER_MAX_CHARS)
    for text in (
        " ".join(["a"] * (PARAMETERS_MAX + 1)),
        "a" * (PARAMETER_MAX_CHARS + 1),
        " " * (EXTRA_MAX_CHARS + 1),
    ):
        with pytest.raises(InputError, match="more than"):
            parse_extra(text)


@pytest.mark.parametrize(
    "extra",
    [
        "relay=wss://relay.example/x zos-debug",
        "x=a_/b",
        "x=a__//_/b y=__/",
        "x=a/../../../b y=_/..",
        "x=a/./b",
        "a+b=c,d@e:f-g",
        " ".join(["x=" + "/" * 250] * 4),
    ],
)
def test_the_path_of_a_boot_parses_to_the_same_boot(extra: str) -> None:
    check_round_trip(parse_address(["dev", "7", extra]), extra)


def test_generated_parameters_survive_the_round_trip_through_a_path() -> None:
    rng = random.Random(20261121)
    for _ in range(2000):
        words = ["a" + "".join(rng.choices("__//.=+:,@-Z9", k=rng.randint(0, 12))) for _ in "123"]
        # Three underscores in the input become a slash, so the parsed input never contains them.
        extra = " ".join(words).replace("___", "/")
        check_round_trip(parse_address(["dev", "7", extra]), extra)


def check_round_trip(boot: Options, extra: str) -> None:
    assert boot.parameters == tuple(extra.split(" "))
    path, _, query = boot.path.partition("?")
    assert parse_address(split_path(path.encode()), parse_qsl(query)) == boot
    assert SHELL_WORD.fullmatch(boot.path.replace("/", "").replace("?extra", ""))
    # Browsers and curl resolve "." and ".." in a path, so no part of it may be one.
    assert urljoin("http://host/a/", f"/ipxe/{boot.path}") == f"http://host/ipxe/{boot.path}"
