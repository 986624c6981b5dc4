"""The licence of a package in SPDX's terms, where the package tells it in a form made for programs.

For Debian that is "Machine-readable debian/copyright" (its `License:` fields), for wheels the
field `License-Expression`. A licence that has no name in the tables makes the whole unknown; a
guess would be worse.
"""

import re
from email.parser import HeaderParser

from image.formats.spdx import NO_ASSERTION

FORMAT = re.compile(r"Format:\s*https?://www\.debian\.org/doc/packaging-manuals/copyright-format/")
FIELD = re.compile(r"^License:[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)
# Debian's short names, and SPDX's. GNU's have a version, which is handled below.
NAMES = {
    "0bsd": "0BSD",
    "apache-2.0": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "boost-1.0": "BSL-1.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsl-1.0": "BSL-1.0",
    "bzip2-1.0.6": "bzip2-1.0.6",
    "cc0-1.0": "CC0-1.0",
    "expat": "MIT",
    "isc": "ISC",
    "mit": "MIT",
    "mit-0": "MIT-0",
    "mpl-2.0": "MPL-2.0",
    "openssl": "OpenSSL",
    "psf-2": "PSF-2.0",
    "unlicense": "Unlicense",
    "zlib": "Zlib",
}
GNU = re.compile(r"(a?gpl|lgpl|gfdl)-([123](?:\.\d)?)(\+?)")
GNU_VERSIONS = {
    "AGPL": ("3.0",),
    "GFDL": ("1.1", "1.2", "1.3"),
    "GPL": ("1.0", "2.0", "3.0"),
    "LGPL": ("2.0", "2.1", "3.0"),
}
EXPRESSION = re.compile(r"[A-Za-z0-9.+() -]{1,200}")


def debian_licence(copyright_text: str) -> str:
    """Return the licences of all files of a package, or `NOASSERTION`."""
    if not FORMAT.search(copyright_text[:4096]):
        return NO_ASSERTION
    found = {_expression(words) for words in FIELD.findall(copyright_text)}
    if not found or "" in found:
        return NO_ASSERTION
    several = len(found) > 1
    return " AND ".join(f"({one})" if several and " " in one else one for one in sorted(found))


def wheel_licence(metadata: str) -> str:
    """Return the licence in the METADATA of a wheel, or `NOASSERTION`."""
    headers = HeaderParser().parsestr(metadata, headersonly=True)
    expression = str(headers.get("License-Expression") or "").strip()
    if EXPRESSION.fullmatch(expression):
        return expression
    plain = str(headers.get("License") or "").strip()
    return plain if plain in NAMES.values() else NO_ASSERTION


def _expression(words: str) -> str:
    """Return "A or B" as SPDX has it; "" if a name is unknown. Nothing with a comma is read."""
    choices = []
    for choice in re.split(r"\s+or\s+", words.strip()):
        names = [_name(word) for word in re.split(r"\s+and\s+", choice)]
        if "" in names:
            return ""
        choices.append(" AND ".join(sorted(set(names))))
    # AND binds tighter than OR.
    return " OR ".join(sorted(set(choices)))


def _name(word: str) -> str:
    word = word.strip().lower()
    if word in NAMES:
        return NAMES[word]
    match = GNU.fullmatch(word)
    if not match:
        return ""
    family, version, later = match[1].upper(), match[2], match[3]
    version += "" if "." in version else ".0"
    if version not in GNU_VERSIONS[family]:
        return ""
    return f"{family}-{version}-{'or-later' if later else 'only'}"
