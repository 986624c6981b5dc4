"""What the command line says of reporting."""

import pytest

from core.errors import CoreError
from core.report.parameters import Parameters, parse_parameters
from node.cmdline import parse_parameters as parse_words

GOOD = {"registry": "https://registry.example/base/", "farmer_id": "7"}


def test_all_words() -> None:
    words = GOOD | {"enrol": "v1.abc-_", "net.proxy": "http://10.0.0.1:3128"}
    assert parse_parameters(words) == Parameters(
        "https://registry.example/base", 7, "v1.abc-_", ("10.0.0.1", 3128)
    )


def test_what_a_report_can_do_without() -> None:
    assert parse_parameters(GOOD) == Parameters("https://registry.example/base", 7)
    odd = GOOD | {"enrol": "no token!", "net.proxy": "ftp://x"}
    assert parse_parameters(odd) == Parameters("https://registry.example/base", 7)


def test_a_farms_number_may_begin_with_zeros() -> None:
    assert parse_parameters(GOOD | {"farmer_id": "0" * 5000 + "7"}).farm == 7


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://p:3128/", ("p", 3128)),
        ("http://p", ("p", 80)),
        ("http://p:3128/x", None),
        ("http://p:3128?x", None),
        ("http://me:pw@p:3128", None),
        ("https://p:3128", None),
        ("http://p:x", None),
    ],
)
def test_the_proxy_is_the_one_that_bring_up_uses(text: str, proxy: tuple[str, int] | None) -> None:
    found = parse_parameters(GOOD | {"net.proxy": text}).proxy
    used = parse_words(f"hub=http://h net.proxy={text}", lambda _: None).proxy.rstrip("/")
    assert found == proxy
    assert used == (text.rstrip("/") if proxy else "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"registry": ""}, "names no registry"),
        ({"registry": "registry.example"}, "no http"),
        ({"registry": "ftp://registry.example"}, "no http"),
        ({"registry": "http://"}, "no http"),
        ({"registry": "http://user:secret@registry.example"}, "no http"),
        ({"registry": "http://registry.example:99999"}, "no http"),
        ({"registry": "http://[::1"}, "no http"),
        ({"farmer_id": ""}, "no farm"),
        ({"farmer_id": "0"}, "no farm"),
        ({"farmer_id": "-1"}, "no farm"),
        ({"farmer_id": "4294967296"}, "no farm"),
        ({"farmer_id": "9" * 5000}, "no farm"),
        ({"farmer_id": "\u0663"}, "no farm"),
    ],
)
def test_with_anything_else_the_node_says_why_it_does_not_report(
    words: dict[str, str], told: str
) -> None:
    with pytest.raises(CoreError, match=told) as caught:
        parse_parameters(GOOD | words)
    assert "secret" not in caught.value.message
