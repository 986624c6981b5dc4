"""Names of 0-hub's clients: upstream's rule for files, with and without suffix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flist.hub.errors import HubError
from flist.hub.web.zerohub.names import (
    archive_target,
    checked,
    flist_target,
    pick,
    secure_name,
    with_suffix,
)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("app-1.0.tar.gz", "app-1.0.tar.gz"),
        ("../../up.tar.gz", "up.tar.gz"),
        ("..\\..\\up.tar.gz", "up.tar.gz"),
        ("/etc/passwd", "etc_passwd"),
        ("two words.tar.gz", "two_words.tar.gz"),
        ("café.tar.gz", "cafe.tar.gz"),
        (".tar.gz", "tar.gz"),
        ("a\0b;c$d.tar.gz", "abcd.tar.gz"),
        ("..", ""),
        ("", ""),
        ("火", ""),
    ],
)
def test_a_name_is_made_secure_as_upstream_does(sent: str, name: str) -> None:
    assert secure_name(sent) == name


@given(st.text())
def test_a_secure_name_stays_in_its_folder(sent: str) -> None:
    name = secure_name(sent)
    assert "/" not in name
    assert not name.startswith(".")
    assert name == secure_name(name)


@pytest.mark.parametrize(
    ("sent", "original", "name"),
    [
        ("app-1.0.tar.gz", "", "app-1.0.flist"),
        (".tar.gz", "", "tar.gz.flist"),
        ("blob.tar.gz", "renamed-2.tar.gz", "renamed-2.flist"),
        ("blob.tar.gz", "../../deep/hidden.tar.gz", "hidden.flist"),
        ("blob.tar.gz", "plain", "plain.flist"),
        ("a.tar.gz", "火.tar.gz", "tar.gz.flist"),
    ],
)
def test_an_archive_names_its_flist(sent: str, original: str, name: str) -> None:
    assert archive_target(sent, original) == name


@pytest.mark.parametrize(
    ("sent", "original", "message"),
    [
        ("", "", "no file selected"),
        ("app.zip", "", "this file is not allowed"),
        ("app.tgz", "", "this file is not allowed"),
        ("app.tar", "x.tar.gz", "this file is not allowed"),
        ("x" * 300 + ".tar.gz", "", "this file is not allowed"),
    ],
)
def test_other_archives_are_refused_in_upstreams_words(
    sent: str, original: str, message: str
) -> None:
    with pytest.raises(HubError, match=message):
        archive_target(sent, original)


def test_an_uploaded_flist_keeps_its_name_and_format() -> None:
    assert flist_target("copy.flist", "") == "copy.flist"
    assert flist_target("x.flist", "named.flist") == "named.flist"
    assert flist_target("x.flist", "named") == "named.flist"
    assert flist_target("new.fl", "") == "new.fl"
    for sent in ("copy.tar.gz", "flist", "", "x.flist.md5"):
        with pytest.raises(HubError):
            flist_target(sent, "")


def test_a_name_that_is_only_a_suffix_is_refused() -> None:
    with pytest.raises(HubError):
        checked(".flist")


def test_a_client_may_leave_out_the_suffix() -> None:
    files = {"app.flist", "app.fl", "new.fl", "odd.fl.flist"}
    assert pick("app", files) == "app.flist"
    assert pick("app.fl", files) == "app.fl"
    assert pick("new", files) == "new.fl"
    assert pick("new.flist", files) is None
    assert pick("nothing", files) is None
    assert with_suffix("a") == "a.flist"
    assert [with_suffix(name) for name in files] == list(files)
