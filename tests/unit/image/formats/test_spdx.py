"""SPDX documents."""

import json

import pytest

from image.formats.spdx import Component, encode_document, make_purl

COMPONENTS = [Component("deb", name, "1", f"pkg:deb/debian/{name}@1") for name in ("b", "a", "c++")]


def test_the_order_of_components_does_not_matter() -> None:
    one = encode_document("os", "1", "f" * 64, 0, "tool", COMPONENTS)
    assert one == encode_document("os", "1", "f" * 64, 0, "tool", COMPONENTS[::-1])
    value = json.loads(one)
    assert value["creationInfo"]["created"] == "1970-01-01T00:00:00Z"
    assert value["documentNamespace"].endswith("f" * 64)
    assert [row["SPDXID"] for row in value["packages"][1:]] == [
        *("SPDXRef-deb-a", "SPDXRef-deb-b", "SPDXRef-deb-c.plus.plus"),
    ]


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("1:2.75-10+deb13u1+b3", "pkg:deb/debian/x@1:2.75-10%2Bdeb13u1%2Bb3?arch=amd64"),
        ("2.9.0-1~deb13u1", "pkg:deb/debian/x@2.9.0-1~deb13u1?arch=amd64"),
    ],
)
def test_package_urls_are_encoded(version: str, text: str) -> None:
    assert make_purl("deb", "debian", "x", version=version, arch="amd64") == text
