"""Whatever is changed in signed metadata, ours accepts it only if python-tuf does."""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from securesystemslib.formats import encode_canonical as reference_canonical
from tuf.api.exceptions import RepositoryError
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from common.tuf.canonical import encode_canonical
from common.tuf.client import find_role
from common.tuf.errors import MalformedError, MetadataError
from common.tuf.trust import Trusted
from tests.helpers.releases import forge
from tests.helpers.releases.store import Maintainer

VALUES: list[Any] = [0, -1, 1, 2, 10**30, "", "x", "2020-01-01T00:00:00Z", "1.0.31", "2.0", None]
VALUES += [True, False, 1.5, [], {}, ["a"], {"a": 1}, "ed25519", "00", "prod"]
SIGNERS = {
    "root": ("root-1", "root-2"),
    "timestamp": ("timestamp",),
    "snapshot": ("snapshot",),
    "targets": ("targets",),
    "prod": ("prod",),
}


@pytest.fixture(scope="module")
def maintainer(tmp_path_factory: pytest.TempPathFactory) -> Maintainer:
    made = Maintainer.begin(tmp_path_factory.mktemp("repository"))
    made.publish("prod", "1.0")
    made.renew("root")
    return made


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container in `value` with each of its keys."""
    rows = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in rows:
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)


def reference(root: bytes, files: dict[str, bytes], now: float) -> bool:
    """Return whether python-tuf accepts the channel prod."""
    try:
        trusted = TrustedMetadataSet(root, EnvelopeType.METADATA)
        trusted.reference_time = datetime.fromtimestamp(now, UTC)
        while data := files.get(f"{trusted.root.version + 1}.root.json"):
            trusted.update_root(data)
        trusted.update_timestamp(files["timestamp.json"])
        version = trusted.timestamp.snapshot_meta.version
        trusted.update_snapshot(files[f"{version}.snapshot.json"])
        version = trusted.snapshot.meta["targets.json"].version
        trusted.update_targets(files[f"{version}.targets.json"])
        version = trusted.snapshot.meta["prod.json"].version
        trusted.update_delegated_targets(files[f"{version}.prod.json"], "prod", "targets")
    except (RepositoryError, KeyError, ValueError, TypeError):
        return False
    return True


def ours(root: bytes, files: dict[str, bytes], now: float) -> bool:
    """Return whether our client does; anything but a `MetadataError` is a fault."""
    try:
        find_role(Trusted(root), "prod", lambda name, _: files.get(name), now)
    except MetadataError:
        return False
    return True


def name_of(files: dict[str, bytes], role: str) -> str:
    return "timestamp.json" if role == "timestamp" else forge.newest(files, role)


def reseal(files: dict[str, bytes], role: str, data: bytes, keys: Any) -> dict[str, bytes]:
    """Return the files with one replaced, and those that name it signed again."""
    files = {**files, name_of(files, role): data}
    if role in ("targets", "prod"):
        shot = forge.load(files, forge.newest(files, "snapshot"))
        signed = json.loads(data)["signed"]
        row = forge.info_of({"version": shot["meta"][f"{role}.json"]["version"]}, data)
        if isinstance(signed, dict) and isinstance(signed.get("version"), int):
            row["version"] = signed["version"]
            files[f"{signed['version']}.{role}.json"] = data
        shot["meta"][f"{role}.json"] = row
        return forge.reseal(files, shot, keys("snapshot"), keys("timestamp"))
    if role == "snapshot":
        stamp = forge.load(files, "timestamp.json")
        version = stamp["meta"]["snapshot.json"]["version"]
        stamp["meta"]["snapshot.json"] = forge.info_of({"version": version}, data)
        files["timestamp.json"] = forge.sign(stamp, [keys("timestamp")])
    return files


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_ours_accepts_python_tuf_accepts(maintainer: Maintainer, data: st.DataObject) -> None:
    files = maintainer.files()
    assert ours(maintainer.root, files, maintainer.now)
    role = data.draw(st.sampled_from(sorted(SIGNERS)))
    whole = json.loads(files[name_of(files, role)])
    signed = copy.deepcopy(whole["signed"])
    container, key = data.draw(st.sampled_from(list(places(signed))))
    if data.draw(st.booleans()) and isinstance(container, dict):
        del container[key]
    else:
        container[key] = data.draw(st.sampled_from(VALUES))
    try:
        signers = [maintainer.key(name) for name in SIGNERS[role]]
        altered = forge.sign(signed, signers)
    except MalformedError:  # a fraction has no canonical form
        altered = json.dumps({**whole, "signed": signed}).encode()
    files = reseal(files, role, altered, maintainer.key)
    if ours(maintainer.root, files, maintainer.now):
        assert reference(maintainer.root, files, maintainer.now)


@pytest.mark.parametrize(
    "change",
    [
        lambda targets: targets.update(expires="2099-1-1T00:00:00Z"),
        lambda targets: targets.update(delegations=None),
        lambda targets: targets.update(spec_version="2.0.0"),
        lambda targets: targets.update(version=0),
        lambda targets: targets["delegations"]["roles"][0].pop("terminating"),
        lambda targets: targets["delegations"]["roles"][0].update(threshold=0),
        lambda targets: targets["delegations"]["roles"][0].update(name="snapshot"),
    ],
)
def test_signed_nonsense_is_refused(maintainer: Maintainer, change: Any) -> None:
    files = maintainer.files()
    targets = forge.load(files, "1.targets.json")
    change(targets)
    altered = forge.sign(targets, [maintainer.key("targets")])
    files = reseal(files, "targets", altered, maintainer.key)
    assert not ours(maintainer.root, files, maintainer.now)
    assert not reference(maintainer.root, files, maintainer.now)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_altered_byte_is_accepted_by_ours_alone(
    maintainer: Maintainer, data: st.DataObject
) -> None:
    files = maintainer.files()
    name = data.draw(st.sampled_from(sorted(files)))
    text = bytearray(files[name])
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] = data.draw(st.integers(0, 255))
    files[name] = bytes(text)
    if ours(maintainer.root, files, maintainer.now):
        assert reference(maintainer.root, files, maintainer.now)


TEXTS = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@given(value=JSON)
def test_the_canonical_form_is_the_reference_s(value: Any) -> None:
    expected = reference_canonical(value)
    assert expected is not None
    assert encode_canonical(value) == expected.encode()


@pytest.mark.parametrize("value", [1.0, {"a": [2.5]}, "\ud800", object()])
def test_what_has_no_canonical_form(value: Any) -> None:
    with pytest.raises(MalformedError):
        encode_canonical(value)


def test_the_state_of_a_client_survives_a_file() -> None:
    state = Trusted(b'{"signed": {}}', {"prod.json": 3})
    assert Trusted.from_json(state.to_json()) == state
    for data in (b"", b"[]", b"{}", b'{"root": 1, "versions": {}}', b'{"root": "", "versions": 1}'):
        with pytest.raises(MalformedError):
            Trusted.from_json(data)


def test_a_root_that_is_no_root_is_no_trust(tmp_path: Path, maintainer: Maintainer) -> None:
    for data in (b"", b"{}", maintainer.files()["timestamp.json"]):
        with pytest.raises(MetadataError):
            find_role(Trusted(data), "prod", lambda *_: None, None)
