"""Options from a URL, a form, JSON and TOML: the same value, and errors that name the field."""

import json
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap_server.errors import InputError, NotThereError
from bootstrap_server.options.model import Options
from bootstrap_server.options.network import Network
from bootstrap_server.options.parameters import FORMS as VALUE_FORMS
from bootstrap_server.options.parameters import PARAMETERS, parse_extra
from bootstrap_server.options.parse import (
    FIELDS,
    parse_address,
    parse_json,
    parse_mapping,
    parse_pairs,
    parse_toml,
    split_path,
)
from bootstrap_server.script.boot import render_script
from bootstrap_server.script.site import Site
from tests.helpers.options import FORMS, MIRRORS, VALID, give

MAC = "52:54:00:12:34:56"
SITE = Site("http://boot.example", "http://hub.example")
FULL = Options(
    "prod",
    4711,
    ("loglevel=4", "relay=wss://relay.example/x"),
    "0.1.0",
    Network(MAC, "10.0.0.5/24", "10.0.0.1", ("9.9.9.9", "fd00::1"), 10, "auto", "http://p:3128"),
    MIRRORS,
    ("tty1", "ttyS1,115200n8"),
    "A" * 43,
)

octets = st.integers(1, 254)
networks = st.builds(
    lambda mac, host, gateway, dns, vlan, ipv6, proxy: Network(
        mac, host and f"10.1.2.{host}/24", host and gateway, dns, vlan, ipv6, proxy
    ),
    st.sampled_from(["", MAC]),
    st.just("") | octets.filter(lambda host: host != 9).map(str),
    st.sampled_from(["", "10.1.2.9"]),
    st.lists(octets.map("10.9.9.{}".format), max_size=3).map(tuple),
    st.none() | st.integers(1, 4094),
    st.sampled_from(["off", "auto"]),
    st.sampled_from(["", "http://proxy.example:3128"]),
)
words = st.from_regex(r"x[A-Za-z0-9._:,/@+-]{0,9}", fullmatch=True).filter(
    lambda word: "___" not in word
)
options = st.builds(
    Options,
    st.sampled_from(["dev", "qa", "test", "prod"]),
    st.none() | st.integers(1, 2**32 - 1),
    st.lists(words, max_size=4).map(tuple),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,9}", fullmatch=True) | st.just(""),
    networks,
    st.lists(st.sampled_from(MIRRORS), unique=True, max_size=2).map(tuple),
    st.lists(st.sampled_from(["tty0", "ttyS1,9600n8"]), unique=True, max_size=2).map(tuple),
    st.sampled_from(["", "A" * 43, "-_" * 21 + "8"]),
)


def write_toml(mapping: dict[str, object]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in mapping.items())


def read_back(value: Options) -> list[Options]:
    """Return what each form reads of what it was written as."""
    path, _, query = value.path.partition("?")
    mapping = value.as_mapping()
    pairs = [
        (name, text)
        for name, found in mapping.items()
        for text in (found if isinstance(found, list) else [str(found)])
    ]
    return [
        parse_address(split_path(path.encode()), parse_qsl(query)),
        parse_pairs(pairs),
        parse_mapping(mapping),
        parse_json(json.dumps(mapping)),
        parse_toml(write_toml(mapping)),
    ]


@given(options)
@settings(max_examples=200, deadline=None)
def test_every_form_reads_what_the_others_write(value: Options) -> None:
    assert read_back(value) == [value] * 5
    assert {found.identity for found in read_back(value)} == {value.identity}


def test_all_fields_at_once() -> None:
    assert set(FULL.as_mapping()) == set(FIELDS)
    assert read_back(FULL) == [FULL] * 5
    assert FULL.path.startswith("prod/4711/loglevel=4%20relay=wss:______relay.example___x/0.1.0?")


@given(options, options)
@settings(max_examples=100, deadline=None)
def test_equal_options_and_only_those_have_the_same_identity(one: Options, other: Options) -> None:
    assert (one == other) == (one.identity == other.identity)


def test_an_identity_stays_what_it_is() -> None:
    """It names images that were made and written to sticks."""
    assert Options("dev", 1).identity.startswith("03de2ba5")


def test_writings_of_one_value_are_one_value() -> None:
    texts = {"address": "2001:DB8:0::5/64", "interface": "52-54-00-AB-CD-EF", "ipv6": "off"}
    found = parse_mapping({"runmode": "dev", "mirror": f"{MIRRORS[0]}/", **texts})
    network = Network("52:54:00:ab:cd:ef", "2001:db8::5/64")
    assert found == Options("dev", network=network, mirrors=MIRRORS[:1])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FIELDS)
def test_each_field_in_each_form(form: str, name: str) -> None:
    texts = {"runmode": "dev", "address": "10.0.0.5/8"} | ({"farm": "7"} if name != "farm" else {})
    if name == "kernel":
        texts["extra"] = "zos-debug"
    for text in VALID[name]:
        if name == "gateway" and ":" in text:
            texts["address"] = "2001:db8::5/64"
        elif name == "gateway":
            texts["address"] = f"{text.rpartition('.')[0]}.77/24"
        value = give(form, texts | {name: text})()
        assert value == parse_mapping(texts | {name: text})
        if text not in ("off", "dev"):
            assert name in value.as_mapping()


WRONG = {
    "runmode": ["", "DEV", "production", "dev "],
    "farm": ["0", "01", "-1", "4294967296", "1.0", "\u0661", "1 2"],
    "extra": ["-", "a\tb", "init=/bin/sh", "loglevel=9", "panic", "zos-debug=1", "panic=1 panic=2"],
    "kernel": ["..", ".x", "a/b", "a b", "x" * 129, "\u0661"],
    "interface": ["net0", "52:54:00:12:34", "53:54:00:12:34:56", "00:00:00:00:00:00", f"{MAC} x"],
    "address": [
        *["10.0.0.5", "10.0.0.0/24", "10.0.0.255/24", "10.0.0.5/33", "10.0.0.5/0", "127.0.0.1/8"],
        *["224.0.0.1/4", "0.0.0.0/1", "010.0.0.5/24", "10.0.0.5/255.255.255.0", "fe80::1%eth0/64"],
        *["::1/128", "2001:db8::/64", "10.0.0.5/24 ", "\u0661.0.0.5/24"],
    ],
    "gateway": ["10.0.1.1", "10.0.0.5", "10.0.0.1/24", "fe80::1", "router", "10.0.0.1 "],
    "dns": ["dns.example", "1.1.1.1,2.2.2.2,3.3.3.3,4.4.4.4", "1.1.1", "0.0.0.0", "127.0.0.1"],
    "vlan": ["0", "4095", "-1", "01", "1.0", "x", "\u0661"],
    "ipv6": ["on", "AUTO", "auto "],
    "proxy": [
        "p:3128",
        "https://p:3128",
        "http://p",
        "http://u:p@p:1",
        "http://p:0",
        "http://p:1/x",
    ],
    "mirror": [
        "ftp://x",
        "http://x y://",
        "http://u@x",
        "http://x?y",
        f"{MIRRORS[0]} {MIRRORS[0]}",
    ],
    "console": ["null", "ttyS0,fast", "tty0 tty0", "ttyS0;x", "tty1 tty2 tty3 tty4 tty5"],
    "farm_key": ["x", "A" * 42, "A" * 44, "A" * 42 + "B", "A" * 42 + "=", "A" * 42 + "+", "é" * 43],
}


@pytest.mark.parametrize("form", ["form", "mapping", "json", "toml"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_told_with_its_field(form: str, name: str) -> None:
    usual = {"runmode": "dev"} | ({"address": "10.0.0.5/24"} if name == "gateway" else {})
    for text in WRONG[name]:
        with pytest.raises(InputError) as caught:
            give(form, usual | {name: text})()
        assert caught.value.field == name, text
        assert caught.value.message.isascii()
    assert set(WRONG) == set(FIELDS)


def test_a_gateway_needs_an_address() -> None:
    with pytest.raises(InputError, match="needs an address"):
        parse_mapping({"runmode": "dev", "gateway": "10.0.0.1"})


def test_a_vlan_is_chosen_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_mapping({"runmode": "dev", "vlan": "5", "extra": "vlan:priv=6"})
    assert caught.value.field == "vlan"


@pytest.mark.parametrize("value", [None, True, 1.5, {}, [1], [["x"]], {"a": "b"}, 5])
@pytest.mark.parametrize("name", FIELDS)
def test_wrong_types(name: str, value: object) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and FIELDS[name].is_number:
        return
    with pytest.raises(InputError) as caught:
        parse_mapping({"runmode": "dev", name: value})
    assert caught.value.field == name


@pytest.mark.parametrize("value", [0, -5, 2**32, pytest.param(10**5000, id="huge")])
@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if field.is_number])
def test_numbers_that_are_none(name: str, value: int) -> None:
    with pytest.raises(InputError) as caught:
        parse_mapping({"runmode": "dev", name: value})
    assert caught.value.field == name


def test_unknown_and_repeated_names() -> None:
    for name in ("farmer", "Farm", "", "\udcff", "x" * 1000):
        with pytest.raises(InputError, match="no such option") as caught:
            parse_mapping({"runmode": "dev", name: "1"})
        assert len(caught.value.field) <= 80
        caught.value.field.encode()
    for name in ("farm", "runmode", "address"):
        pairs = [("runmode", "dev"), (name, VALID[name][0]), (name, VALID[name][0])]
        with pytest.raises(InputError, match="twice") as caught:
            parse_pairs(pairs)
        assert caught.value.field == name
    with pytest.raises(InputError, match="twice"):
        parse_address(["dev", "1"], [("farm", "1")])
    with pytest.raises(InputError, match="twice"):
        parse_json('{"runmode": "dev", "farm": 1, "farm": 1}')
    assert parse_pairs([("runmode", "dev"), ("dns", "1.1.1.1"), ("dns", "2.2.2.2")]).network.dns


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '"x"', "[" * 100_000, '{"farm": NaN}'])
def test_what_is_no_json_object(text: str) -> None:
    with pytest.raises(InputError):
        parse_json(text)
    with pytest.raises(InputError):
        parse_json(b"\xff")


@pytest.mark.parametrize(
    "text", ["x", "runmode = 'dev'\nrunmode = 'dev'", f"farm = 0x1{'0' * 9999}"]
)
def test_what_is_no_toml(text: str) -> None:
    with pytest.raises(InputError):
        parse_toml(text)


def test_upstreams_addresses() -> None:
    debug = Options("prod", 1234, ("debug",))
    for raw, value in {
        b"prod": Options("prod"),
        b"prod/": Options("prod"),
        b"prod/1234/": Options("prod", 1234),
        b"prod/1234/debug/": debug,
        b"prod/1234/a_b__c____d": Options("prod", 1234, ("a_b__c/_d",)),
        b"prod/1234/debug/zos-v3.efi": Options("prod", 1234, ("debug",), "zos-v3.efi"),
        b"prod/1234//zos-v3.efi": Options("prod", 1234, (), "zos-v3.efi"),
        b"prod/77/ip=10.0.0.2::10.0.0.1:255.255.255.0": Options(
            "prod", 77, ("ip=10.0.0.2::10.0.0.1:255.255.255.0",)
        ),
    }.items():
        assert parse_address(split_path(raw)) == value, raw
    for raw in (b"", b"/", b"nothing", b"prod/1/a/b/c", b"prod%20", b"prod/1/debug/net%2Fprod.efi"):
        with pytest.raises(NotThereError):
            parse_address(split_path(raw))
    for raw in (b"prod//debug", b"prod/%ff", b"prod/1/\n"):
        with pytest.raises(InputError):
            parse_address(split_path(raw))


def test_only_the_servers_own_mirrors_can_be_chosen() -> None:
    chosen = Options("dev", mirrors=MIRRORS[:1])
    chosen.check_allowed(mirrors=MIRRORS)
    with pytest.raises(InputError) as caught:
        chosen.check_allowed()
    assert caught.value.field == "mirror"


@pytest.mark.parametrize("name", PARAMETERS)
def test_documented_parameters(name: str) -> None:
    parameter = PARAMETERS[name]
    assert parse_extra(parameter.example) == (parameter.example,)
    assert parameter.example.partition("=")[0] == name
    assert parameter.form in VALUE_FORMS
    assert parameter.reader in ("node", "Linux")
    wrong = f"{name}=x" if parameter.form == "nothing" else name
    with pytest.raises(InputError, match="kernel parameter"):
        parse_extra(wrong)


def test_a_command_line_that_linux_would_cut_is_refused() -> None:
    long = Site("http://boot.example", f"http://hub.example/{'x' * 250}", token="1." + "a" * 900)
    full = Options("dev", 1, ("x=" + "y" * 250,) * 1 + ("z=" + "y" * 250, "w=" + "y" * 250))
    render_script(full, SITE)
    with pytest.raises(InputError, match="1761"):
        render_script(full, long)
