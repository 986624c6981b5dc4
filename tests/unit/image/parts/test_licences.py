"""Licences of packages, in SPDX's terms."""

import pytest

from image.formats.spdx import NO_ASSERTION
from image.parts.licences import debian_licence, wheel_licence

FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"


@pytest.mark.parametrize(
    ("licences", "expression"),
    [
        (["Expat"], "MIT"),
        (["GPL-2+"], "GPL-2.0-or-later"),
        (["LGPL-2.1"], "LGPL-2.1-only"),
        (["Zlib", "Expat", "Zlib"], "MIT AND Zlib"),
        (["GPL-2 or Expat"], "GPL-2.0-only OR MIT"),
        (["GPL-2 or Expat", "ISC"], "(GPL-2.0-only OR MIT) AND ISC"),
        (["ISC and Expat or Zlib"], "ISC AND MIT OR Zlib"),
        (["Expat", "something-of-theirs"], NO_ASSERTION),
        (["GPL-7"], NO_ASSERTION),
        (["GPL-2+ with OpenSSL exception"], NO_ASSERTION),
        (["GPL-2, or Expat"], NO_ASSERTION),
        ([], NO_ASSERTION),
    ],
)
def test_debians_short_names(licences: list[str], expression: str) -> None:
    fields = "".join(f"Files: {n}\nLicense: {text}\n text\n" for n, text in enumerate(licences))
    assert debian_licence(FORMAT + fields) == expression


def test_a_file_for_people_tells_nothing() -> None:
    assert debian_licence("License: Expat\n") == NO_ASSERTION


@pytest.mark.parametrize(
    ("field", "licence"),
    [
        ("License-Expression: Apache-2.0 OR BSD-3-Clause", "Apache-2.0 OR BSD-3-Clause"),
        ("License: MIT", "MIT"),
        ("License: see the file LICENSE", NO_ASSERTION),
        ("Name: x", NO_ASSERTION),
    ],
)
def test_wheels(field: str, licence: str) -> None:
    assert wheel_licence(f"Metadata-Version: 2.4\n{field}\n\nLicense: not a header\n") == licence
