"""Folders with any bytes in their files: opened, or refused in one line, and never for long."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zdb.errors import ZdbError
from zdb.storage.files import Disk, Handles, LogFile
from zdb.storage.scan import history, scan
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store
from zdb.storage.walk import Damage, walk

FILES = ["d/default/d0", "d/default/d1", "i/default/i0", "i/default/i1"]
FILES += ["i/default/zdb-checkpoint", "i/default/zdb-namespace"]


def store_settings(mode: str) -> StoreSettings:
    return StoreSettings(mode=mode, file_size=600, sync="never", clock=lambda: 1.7e9)


def fill(top: Path, mode: str) -> None:
    with Store(top / "d", top / "i", store_settings(mode)) as store:
        space = store.namespaces["default"]
        keys = [space.set(b"" if mode == "seq" else b"k%d" % n, b"v" * n * 5) for n in range(12)]
        for key in keys[3:6]:
            space.set(key or b"", b"changed")
        space.delete(keys[7] or b"")


@pytest.fixture(scope="module", params=["user", "seq"])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    top = tmp_path_factory.mktemp("sample")
    fill(top, request.param)
    return request.param, top


def use(top: Path, mode: str) -> None:
    """Open a store and do all there is to do."""
    with Store(top / "d", top / "i", store_settings(mode)) as store:
        space = store.namespaces["default"]
        for forward in (True, False):
            cursor, seen = None, 0
            while (page := scan(space, cursor, forward)) and seen < 1000:
                cursor, seen = page.cursor, seen + 1
                for key, _, _ in page.items:
                    try_to_read(space, key)
            assert seen < 1000
        try_to_write(space)
        store.commit()


def try_to_read(space, key: bytes) -> None:  # type: ignore[no-untyped-def]
    for read in (space.get, space.entry, lambda key: history(space, key)):
        with contextlib.suppress(ZdbError):
            read(key)


def try_to_write(space) -> None:  # type: ignore[no-untyped-def]
    try:
        key = space.set(b"" if space.mode == "seq" else b"new", b"value")
        assert space.get(key) == b"value"
        assert space.delete(key)
    except ZdbError:
        pass


changes = st.lists(
    st.tuples(st.sampled_from(FILES), st.integers(0, 1 << 16), st.binary(max_size=40)),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=40, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=changes, cut=st.none() | st.tuples(st.sampled_from(FILES), st.integers(0, 700)))
def test_any_change_is_survived(sample, changes, cut) -> None:  # type: ignore[no-untyped-def]
    mode, top = sample
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "x"
        shutil.copytree(top, folder)
        for file, offset, blob in changes:
            path = folder / file
            old = path.read_bytes()
            at = offset % (len(old) + 1)
            path.write_bytes(old[:at] + blob + old[at + len(blob) :])
        if cut:
            path = folder / cut[0]
            path.write_bytes(path.read_bytes()[: cut[1]])
        try:
            use(folder, mode)
        except ZdbError as error:
            assert "\n" not in error.message


@settings(
    max_examples=100, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(blob=st.binary(max_size=3000), at=st.integers(28, 700))
def test_any_bytes_are_walked_over(sample, blob: bytes, at: int) -> None:  # type: ignore[no-untyped-def]
    _, top = sample
    with tempfile.TemporaryDirectory() as name:
        old = (top / "d/default/d0").read_bytes()
        path = Path(name) / "d0"
        path.write_bytes(old[:at] + blob + old[at + len(blob) :])
        file = LogFile(path, Handles(Disk()))
        file.open()
        end = 28
        for item in walk(file, end, None):
            assert item.offset == end
            end = item.end
            assert not isinstance(item, Damage) or item.end > item.offset
        assert end == file.length
        file.close()
