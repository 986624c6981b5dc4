"""A software bill of materials: SPDX 2.3 in JSON. Pure.

The same content gives the same bytes. Files are not listed; `initramfs.zst` has them.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

NO_ASSERTION = "NOASSERTION"
NAMESPACE = "https://spdx.org/spdxdocs/{name}-{identity}"
DOCUMENT_ID = "SPDXRef-DOCUMENT"
RELEASE_ID = "SPDXRef-release"
NOT_IN_ID = re.compile(r"[^A-Za-z0-9.-]")


@dataclass(frozen=True, slots=True)
class Component:
    """What a release contains: a package with its digest and its licence in SPDX terms."""

    kind: str  # the type of its package URL: "deb", "pypi", "generic"
    name: str
    version: str
    purl: str
    licence: str = NO_ASSERTION
    sha256: str = ""
    filename: str = ""
    location: str = NO_ASSERTION
    source: str = ""

    @property
    def identifier(self) -> str:
        """Return its name within the document; "+" is the only other character in names."""
        return "SPDXRef-" + NOT_IN_ID.sub(".plus", f"{self.kind}-{self.name}")


def make_purl(kind: str, *names: str, version: str, **qualifiers: str) -> str:
    """Return a package URL: its parts are percent-encoded, and the qualifiers are sorted."""
    path = "/".join(quote(name, safe="") for name in names)
    found = "&".join(f"{key}={quote(text, safe='')}" for key, text in sorted(qualifiers.items()))
    return f"pkg:{kind}/{path}@{quote(version, safe=':')}" + (f"?{found}" if found else "")


def encode_document(
    name: str, version: str, identity: str, time: int, tool: str, components: Iterable[Component]
) -> bytes:
    """Return the document of a release, which contains `components`; `time` is when it was made."""
    rows = sorted(components, key=lambda component: component.identifier)
    created = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    value = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT_ID,
        "name": f"{name}-{version}",
        "documentNamespace": NAMESPACE.format(name=name, identity=identity),
        "creationInfo": {"created": created, "creators": [f"Tool: {tool}"]},
        "packages": [_release_row(name, version), *map(_row, rows)],
        "relationships": [
            _relation(DOCUMENT_ID, "DESCRIBES", RELEASE_ID),
            *(_relation(RELEASE_ID, "CONTAINS", row.identifier) for row in rows),
        ],
    }
    return json.dumps(value, indent=1).encode() + b"\n"


def _release_row(name: str, version: str) -> dict[str, Any]:
    return {
        "SPDXID": RELEASE_ID,
        "name": name,
        "versionInfo": version,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": False,
    }


def _row(component: Component) -> dict[str, Any]:
    row: dict[str, Any] = {
        "SPDXID": component.identifier,
        "name": component.name,
        "versionInfo": component.version,
        "downloadLocation": component.location,
        "filesAnalyzed": False,
        "licenseConcluded": NO_ASSERTION,
        "licenseDeclared": component.licence,
        "copyrightText": NO_ASSERTION,
    }
    if component.filename:
        row["packageFileName"] = component.filename
    if component.sha256:
        row["checksums"] = [{"algorithm": "SHA256", "checksumValue": component.sha256}]
    if component.source:
        row["sourceInfo"] = f"built from the Debian source package {component.source}"
    row["externalRefs"] = [
        {
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": component.purl,
        }
    ]
    return row


def _relation(subject: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": other}
