"""The router of an older flist: ranges, pools, and invalid routers."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flist.errors import FormatError
from flist.format.legacy.router import MAX_ROUTER_BYTES, parse_router
from flist.model import Route

GOOD = b"""
pools:
  private: {"00:7f": "zdb://a:9900/ns", "80:FF": "zdb://[::1]:9901"}
  public: {"00:ff": "ardb://hub.example:16379", "a": "redis://:word@c"}
  local: {"00:ff": "zdb://cache:1"}
lookup: [private, public]
cache: [local]
"""


def test_pools_are_in_lookup_order() -> None:
    assert parse_router(GOOD) == [
        Route(0, 127, "zdb://a:9900/ns"),
        Route(128, 255, "zdb://[::1]:9901"),
        Route(0, 255, "redis://hub.example:16379"),
        Route(0xA0, 0xAF, "redis://:word@c"),
    ]


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [("0:7", 0, 127), ("f", 240, 255), ("abc", 0xAB, 0xAB), ("0000:7fff", 0, 127),
     ("07f:080", 7, 8), ("AB", 0xAB, 0xAB), ("00000000:ffffffff", 0, 255)],
)  # fmt: skip
def test_ranges(span: str, first: int, last: int) -> None:
    data = f'pools: {{p: {{"{span}": "zdb://h"}}}}\nlookup: [p]'.encode()
    assert parse_router(data) == [Route(first, last, "zdb://h")]


@pytest.mark.parametrize(
    "wrong",
    [
        b"", b"[", b"[]", b"pools: x", b"pools: {}", b"pools: {}\nlookup: x", b"\xff\xfe\x00",
        b"pools: {}\nlookup: [p]", b"pools: {p: x}\nlookup: [p]", b"pools: {p: {}}\nlookup: [[p]]",
        b"#" * (MAX_ROUTER_BYTES + 1),
        b"[" * 30000, b"{a: " * 10000,
    ],
)  # fmt: skip
def test_invalid_routers_are_refused(wrong: bytes) -> None:
    with pytest.raises(FormatError, match=r"router\.yaml"):
        parse_router(wrong)


def test_yaml_aliases_cannot_multiply_the_routes() -> None:
    pool = ", ".join(f'"{n:03x}": "zdb://h:{n + 1}"' for n in range(1000))
    text = f"pools: {{p: &p {{{pool}}}, q: *p}}\nlookup: [{', '.join(['p', 'q'] * 500)}]"
    with pytest.raises(FormatError, match="more than"):
        parse_router(text.encode())


@pytest.mark.parametrize(
    ("span", "url"),
    [("0:", "zdb://h"), ("0:ff", "zdb://h"), ("ff:00", "zdb://h"), ("x", "zdb://h"),
     ("00", "dir:///etc"), ("00", "zdb:///socket"), ("00", "http://h"), ("00", "zdb://[x")],
)  # fmt: skip
def test_invalid_routes_are_refused(span: str, url: str) -> None:
    with pytest.raises(FormatError, match=r"router\.yaml"):
        parse_router(f'pools: {{p: {{"{span}": "{url}"}}}}\nlookup: [p]'.encode())


VALUES = st.recursive(
    st.sampled_from(["p", "00:ff", "zdb://h", "", "lookup"]) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(pools=VALUES, lookup=VALUES, raw=st.binary(max_size=60))
def test_no_router_crashes_the_parser(pools: object, lookup: object, raw: bytes) -> None:
    for data in (yaml.dump({"pools": pools, "lookup": lookup}).encode(), raw, GOOD[:90] + raw):
        try:
            for route in parse_router(data):
                assert 0 <= route.start <= route.end <= 255
        except FormatError as error:
            assert "\n" not in error.message
