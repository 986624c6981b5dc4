"""The SBOM of a release, read by SPDX's own tools."""

import pytest
from spdx_tools.spdx.model.relationship import RelationshipType
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from image.lock.model import ReleaseLock
from image.model import Release
from image.release.sbom import NAME

pytestmark = pytest.mark.timeout(900)  # the first build on a machine fetches packages


def test_spdx_tools_accept_it_and_find_what_is_in_the_release(
    release: Release, lock: ReleaseLock
) -> None:
    document = parse_file(str(release.folder / NAME))
    assert validate_full_spdx_document(document) == []
    found = {package.name: package for package in document.packages}
    debian = {package.name: package for package in lock.debian.packages}
    for name in ("libc6", "kmod", "python3.13-minimal", f"linux-image-{release.kernel}"):
        row = found[name]
        assert row.version == debian[name].version
        assert row.checksums[0].value == debian[name].sha256
        assert row.external_references[0].locator.startswith(f"pkg:deb/debian/{name[:5]}")
    wheels = [wheel for wheel in lock.wheels if wheel.name != "pycparser"]  # no node needs it
    for wheel in wheels:
        row = found[wheel.name]
        assert (row.version, row.checksums[0].value) == (wheel.version, wheel.sha256)
        assert row.external_references[0].locator == f"pkg:pypi/{wheel.name}@{wheel.version}"
    assert str(found["zlib1g"].license_declared) == "Zlib"
    contains = [
        r for r in document.relationships if r.relationship_type == RelationshipType.CONTAINS
    ]
    assert len(contains) == len(found) - 1


def test_it_lists_nothing_that_only_the_build_had(release: Release) -> None:
    names = {package.name for package in parse_file(str(release.folder / NAME)).packages}
    assert not {"coreutils", "initramfs-tools", "openssl", "dracut-install", "pycparser"} & names
    assert "zero-os" in names
