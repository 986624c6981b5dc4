"""Sizes and targets in 0-hub's listings."""

from flist.hub.web.zerohub import texts


def test_sizes_are_text() -> None:
    assert texts.size_text(1277) == "1.25 KB"
    assert texts.size_text(13) == "0.01 KB"
    assert texts.size_text(0) == "0.00 KB"


def test_a_target_is_relative_in_one_place_and_clean_in_the_other() -> None:
    assert texts.listed_target("alice", "alice/app.flist") == "app.flist"
    assert texts.listed_target("bob", "alice/app.flist") == "alice/app.flist"
    assert texts.listed_target("alice", "alice/app.flist", in_tag=True) == "alice/app.flist"
    assert texts.relative_target("alice", "alice/app.flist") == "app.flist"
    assert texts.relative_target("bob", "alice/app.flist") == "../alice/app.flist"
    assert texts.tag_target("bob/latest") == "bob/tags/latest"
