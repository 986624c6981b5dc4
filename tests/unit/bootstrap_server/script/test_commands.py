"""Typed commands: what is literal stays literal, and what joins commands is a method."""

from functools import partial

import pytest

from bootstrap_server.errors import TemplateError
from bootstrap_server.script.commands import (
    BLANK,
    Comment,
    Line,
    Ref,
    block,
    chain,
    command,
    echo,
    goto,
    inc,
    initrd,
    iseq,
    isset,
    kernel,
    label,
    render,
    set_,
    set_number,
    vcreate,
)
from tests.helpers.ipxe.grammar import Command, expand, read_commands

CARD = Ref("card")
HOSTILE = [
    *["a\nb", "a b", "a\tb", "", "${x}", "a${x}", "$", "}", "\\", "a\\", "a\r", "\0", "é", "\x7f"],
    *["||", "&&", ";", "#", "#x", "-n", "--name"],
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_that_means_something_to_ipxe_is_refused(text: str) -> None:
    makers = (
        partial(set_, "x", text),
        partial(set_, text, "x"),
        partial(iseq, CARD, text),
        partial(chain, text, 1),
        partial(initrd, "x", text, 1),
        partial(initrd, text, "x", 1),
        partial(kernel, "x", "http://x", 1, ["a", text]),
        partial(goto, text),
    )
    for make in makers:
        with pytest.raises(TemplateError):
            make()


@pytest.mark.parametrize("text", ["$", "{x", "a$", "x}", "\\"])
def test_parts_of_a_word_do_not_add_up_to_more(text: str) -> None:
    with pytest.raises(TemplateError):
        set_("x", (text, "{y}"))
    with pytest.raises(TemplateError):
        str(Ref("a", text))


def test_what_is_harmless_stays_as_it_is() -> None:
    assert (
        str(set_("x", "a||b", "&&&", "x#", "a-b", "~!@%^*()[]|"))
        == "set x a||b &&& x# a-b ~!@%^*()[]|"
    )
    assert str(set_("x", ("a", CARD, "/b"))) == "set x a${card}/b"
    assert str(isset(Ref("net", Ref("index"), "/mac"))) == "isset ${net${index}/mac}"
    assert str(echo("a  b", CARD, ("(", CARD, ")"))) == "echo a b ${card} (${card})"


def test_commands_are_joined_by_methods() -> None:
    line = iseq(CARD, "1").then(goto("a")).otherwise(inc("x")).ignored()
    assert str(line) == "iseq ${card} 1 && goto a || inc x ||"
    assert read_commands(str(line)) == [
        Command("", "iseq", ("${card}", "1")),
        Command("&&", "goto", ("a",)),
        Command("||", "inc", ("x",)),
        Command("||", "", ()),
    ]


def test_options_come_before_arguments() -> None:
    assert str(vcreate("net0", 5)) == "vcreate --tag 5 net0"
    assert str(initrd("a", "http://b", 9)) == "initrd --name a --timeout 9 http://b"
    with pytest.raises(TemplateError):
        set_number("x", -1)


@pytest.mark.parametrize(
    "lines",
    [
        [goto("nowhere")],
        [label("a"), label("a")],
        [isset(CARD).otherwise(goto("nowhere"))],
        [Comment("a\nreboot")],
        [Comment("a\\"), command("x")],
    ],
)
def test_a_script_that_can_not_be_right_is_not_rendered(lines: list[Line]) -> None:
    for make in (iter, lambda some: [block(some)]):
        with pytest.raises(TemplateError):
            render(make(lines))


def test_a_block_is_the_lines_that_it_is_made_of() -> None:
    lines: list[Line] = [goto("there"), label("here")]
    rest: list[Line] = [label("there"), goto("here")]
    assert render([block(lines), *rest]) == render([*lines, *rest])
    for wrong in ([block(lines)], [block(lines), *rest, label("here")]):
        with pytest.raises(TemplateError):
            render(wrong)


def test_a_script_begins_with_its_mark() -> None:
    text = render([Comment("hello"), BLANK, label("a"), goto("a"), goto("why_", CARD)])
    assert text == "#!ipxe\n# hello\n\n:a\ngoto a\ngoto why_${card}\n"


def test_labels_are_names() -> None:
    for text in ("", "a b", ":a", "a-b", "${x}"):
        with pytest.raises(TemplateError):
            label(text)


def test_the_reader_follows_ipxes_grammar() -> None:
    """Each of these is what iPXE's own reader does."""
    assert read_commands("a b ; c") == [Command("", "a", ("b",)), Command(";", "c", ())]
    assert read_commands("a|| b &&c;") == [Command("", "a||", ("b", "&&c;"))]
    assert read_commands("a \"b c\" 'd'") == [Command("", "a", ('"b', 'c"', "'d'"))]
    assert read_commands("a #b || c") == [Command("", "a", ())]
    assert read_commands("a b#c") == [Command("", "a", ("b#c",))]
    assert read_commands("a \\\r\nb\r\n") == [Command("", "a", ("b",))]
    assert read_commands("a\0 || b\nc") == [Command("", "a", ()), Command("", "c", ())]
    assert read_commands("  :x y") == [Command("", ":x", ()), Command("", "y", ())]
    assert read_commands("a\u2028b\x85c") == [Command("", "a\u2028b\x85c", ())]


def test_the_reader_expands_as_ipxe_does() -> None:
    values = {"a": "b", "b": "c", "x": "${a}", "neta/mac": "1"}

    def look_up(name: str) -> str:
        return values.get(name, "")

    assert expand("${a}-${none}-${b}", look_up) == "b--c"
    assert expand("${${a}}", look_up) == "c"
    assert expand("${x}", look_up) == "b"
    assert expand("net${", look_up) == "net${"
    assert expand("}${a}", look_up) == "}b"
    assert expand("${net${none}a/mac}", look_up) == "1"
