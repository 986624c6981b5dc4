"""A hundred thousand generated inputs: what is accepted adds nothing to a script but its values.

Inputs go through every field and every form. Those that are accepted give a script whose labels,
commands, options and expansions are those of harmless options with the same fields, as iPXE's
grammar reads it.
"""

import random
import re
from dataclasses import replace
from functools import lru_cache

from bootstrap_server.errors import InputError, NotThereError
from bootstrap_server.options.model import Options
from bootstrap_server.options.network import Network
from bootstrap_server.script.boot import render_script
from bootstrap_server.script.site import Site
from tests.helpers.ipxe.grammar import read_line
from tests.helpers.options import FORMS, MIRRORS, give, make_texts

SEED = 20261130
CASES = 100_000
SITE = Site("http://boot.example", "http://hub.example", MIRRORS, has_log=True, token="1.aB_-")
EXPANSION = re.compile(r"\$\{[^${}]*\}")
Shape = tuple[object, ...]


@lru_cache(50_000)
def shape_of_line(text: str) -> Shape:
    """Return what iPXE would do with a line, whatever its literal values are."""
    label, commands = read_line(text)
    return label, tuple(
        (operator, name, tuple(map(shape_of_word, arguments)))
        for operator, name, arguments in commands
    )


def shape_of_word(word: str) -> str:
    """Return the expansions of an argument, or the argument itself if it is an option."""
    return word if word.startswith("-") else "".join(re.findall(r"[${}\\]|(?<=\$\{)[^${}]*", word))


def shape_of(options: Options) -> Shape:
    """Return what iPXE would do with a script."""
    script = render_script(options, SITE)
    assert script.isascii()
    assert not set(script) & set("\r\0\t\\"), options
    return tuple(map(shape_of_line, script.split("\n")))


@lru_cache(10_000)
def shape_of_template(options: Options) -> Shape:
    """Return what iPXE would do with the script of harmless options."""
    return shape_of(options)


def make_harmless(options: Options) -> Options:
    """Return options with the same fields and values of our own."""
    network = options.network
    is_ipv6 = ":" in network.address
    gateway = "2001:db8::1" if is_ipv6 else "10.0.0.1"
    return Options(
        options.run_mode,
        None if options.farm is None else 1,
        tuple(f"a{number}" for number in range(len(options.parameters))),
        options.release and "1",
        Network(
            network.interface and "52:54:00:00:00:01",
            network.address and ("2001:db8::2/64" if is_ipv6 else "10.0.0.2/8"),
            network.gateway and gateway,
            tuple("fec0::3" if ":" in server else "10.0.0.3" for server in network.dns),
            network.vlan,
            network.ipv6,
            network.proxy and "http://p:1",
        ),
        options.mirrors,
        tuple(f"tty{number}" for number in range(len(options.console))),
        options.farm_key and "A" * 43,
    )


def test_a_hundred_thousand_inputs() -> None:
    rng = random.Random(SEED)
    refused = accepted = 0
    for case in range(CASES):
        texts = make_texts(rng)
        try:
            options = give(FORMS[case % len(FORMS)], texts)()
            options.check_allowed(("x", "a+b"), MIRRORS)
        except (InputError, NotThereError):
            refused += 1
            continue
        accepted += 1
        assert shape_of(options) == shape_of_template(make_harmless(options)), texts
    assert refused > CASES // 2
    assert accepted > CASES // 50


def test_the_shape_shows_what_a_value_could_do() -> None:
    plain = shape_of_line("echo a b")
    for text in ("echo a ||", "echo a ${b}", "echo a -b", "echo a #", "echo a", ":echo a b"):
        assert shape_of_line(text) != plain, text
    assert shape_of_line("echo x y") == plain
    assert shape_of_line("echo ${a} b") != shape_of_line("echo ${c} b")


def test_harmless_options_are_told_from_others() -> None:
    options = Options("dev", 1, ("zos-debug",))
    assert shape_of(options) == shape_of(make_harmless(options))
    assert shape_of(options) != shape_of(replace(options, parameters=()))
    assert shape_of(options) != shape_of(replace(options, network=Network(vlan=7)))
