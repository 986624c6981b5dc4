"""Words, names, previews, commands and readmes: what the pages say, without a hub."""

import shlex
import stat

import pytest

from flist.hub.pages.commands import Place, list_ways
from flist.hub.pages.names import attach, crumbs, link, read_link, resolve, say_plainly, shown
from flist.hub.pages.readme import find_readme, render_readme
from flist.hub.pages.sniff import IMAGE_BYTES, TEXT_BYTES, find_image, make_preview
from flist.hub.pages.words import say_count, say_extent, say_mode, say_size, say_time
from flist.model import NAME_MAX_BYTES, Inode
from tests.helpers.flist.gallery import HOSTILE, README, make_png
from zinit.files.reading import parse_service


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (102_300, "99.9 KiB"),
        (1_048_500, "1 MiB"),
        (5 << 30, "5 GiB"),
        (1 << 63, "8 EiB"),
        (1 << 80, "1048576 EiB"),
    ],
)
def test_sizes(size: int, said: str) -> None:
    assert say_size(size) == said


def test_counts_and_times() -> None:
    assert say_count(1, "file") == "1 file"
    assert say_count(500_000, "entry", "entries") == "500,000 entries"
    assert say_time(0) == "01 January 1970, 00:00 UTC"
    assert say_time(1e18).endswith("after 1970")


def make_inode(mode: int, **more: int) -> Inode:
    values = {"size": 0, "uid": 0, "gid": 0, "rdev": 0, "ctime_ns": 0, "mtime_ns": 0, **more}
    return Inode(2, 1, b"name", mode=mode, **values)


def test_modes_and_extents() -> None:
    assert say_mode(0o104755) == "-rwsr-xr-x 4755"
    assert say_extent(make_inode(stat.S_IFREG | 0o644, size=2048)) == "2 KiB"
    assert say_extent(make_inode(stat.S_IFCHR | 0o600, rdev=0x103)) == "1, 3"
    assert say_extent(make_inode(stat.S_IFDIR | 0o755, size=4096)) == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_linked_and_saved_safely(name: bytes) -> None:
    html = str(shown(name))
    inside = html.removeprefix("<bdi>").removesuffix("</bdi>")
    assert inside.replace('<span class="odd">', "").replace("</span>", "").isprintable()
    assert "<script" not in html and "\u202e" not in html
    assert say_plainly(name).isprintable()
    linked = link(b"/odd/" + name)
    assert linked.isascii() and linked.isprintable() and not set(linked) & set("\"'<>?#&\\ :")
    assert read_link(linked.encode()) == b"/odd/" + name
    header = attach(name)
    assert header.isascii() and header.isprintable() and header.startswith("attachment; ")
    plain = header.split('"')[1]
    assert not set(plain) & set("/\\") and len(plain) <= NAME_MAX_BYTES


def test_paths_in_addresses() -> None:
    assert read_link(b"") == b"/"
    assert read_link(b"a/b/") == b"/a/b"
    assert read_link(b"caf%E9") == b"/caf\xe9"
    assert [crumb.path for crumb in crumbs(b"/a/b")] == [b"/a", b"/a/b"]
    assert crumbs(b"/") == []


@pytest.mark.parametrize(
    ("folder", "target", "found"),
    [
        (b"/usr/bin", b"../lib/x", b"/usr/lib/x"),
        (b"/usr/bin", b"/etc/motd", b"/etc/motd"),
        (b"", b"../../..", b"/"),
        (b"/a", b"//b/./c", b"/b/c"),
        (b"/a", b"javascript:alert(1)", b"/a/javascript:alert(1)"),
    ],
)
def test_links_lead_to_paths_of_the_same_flist(folder: bytes, target: bytes, found: bytes) -> None:
    assert resolve(folder, target) == found


@pytest.mark.parametrize(
    ("head", "size", "kind"),
    [
        (b"", 0, "empty"),
        (b"text\n", 5, "text"),
        ("caf\u00e9".encode(), 5, "text"),
        (b"caf\xe9", 4, "other"),
        (b"a\0b", 3, "other"),
        (b"<html><script>", 14, "text"),
        (b"\x7fELF" + b"a" * 20, 24, "other"),
        (make_png(), len(make_png()), "image"),
        (make_png(), IMAGE_BYTES + 1, "other"),
        (b"RIFF\0\0\0\0WEBPVP8 ", 16, "image"),
        (b"RIFF\0\0\0\0WAVE", 12, "other"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 41, "text"),
        (b"\x01\x02\x03\x04", 4, "other"),
    ],
)
def test_a_preview_is_chosen_by_the_content(head: bytes, size: int, kind: str) -> None:
    assert make_preview(head, size).kind == kind
    assert (find_image(head) != "") == (head[:1] in (b"\x89", b"R") and b"WAVE" not in head)


def test_a_long_text_is_cut_between_characters_or_within_one() -> None:
    head = "\u00e9".encode() * TEXT_BYTES
    for skipped in (0, 1):
        text = b"x" * skipped + head
        preview = make_preview(text[: TEXT_BYTES + 1], 10 << 20)
        assert preview.kind == "text" and preview.is_cut
        assert len(preview.text.encode()) in (TEXT_BYTES, TEXT_BYTES - 1)


def test_a_readme_is_rendered_without_markup_of_its_own() -> None:
    html = str(render_readme(README))
    assert '<a href="https://example.org/" rel="nofollow noopener noreferrer">' in html
    assert "<h3>Web server</h3>" in html and "<table>" in html
    assert "<script" not in html and "<img" not in html
    assert 'href="javascript' not in html


def test_readmes_of_both_formats() -> None:
    assert find_readme({"readme": "# A"}) == "# A"
    assert find_readme({"readme": '{"readme": "# A", "license": "MIT"}'}) == "# A"
    assert find_readme({"readme": '{"license": 1}'}) == ""
    assert find_readme({"readme": "{broken"}) == "{broken"
    assert find_readme({"readme": "[" * 100_000}).startswith("[")
    assert find_readme({}) == ""


def test_the_commands_demand_the_signature_that_the_hub_could_check() -> None:
    plain = Place("https://hub.example", "me", "web.fl")
    assert not any("--key" in way.text for way in list_ways(plain))
    signed = Place("https://hub.example", "me", "web.fl", "me/web", "c2VjcmV0")
    keep, mount, *_ = list_ways(signed)
    words = shlex.split(mount.text)
    assert words[:5] == ["zos", "flist", "mount", "-m", "https://hub.example/me/web.fl"]
    key = words[words.index("--key") + 1]
    assert keep.text == f"echo c2VjcmV0 > {key}"
    assert words[words.index("--name") + 1] == "me/web"


def test_a_flist_of_nodes_says_how_they_boot_it() -> None:
    ways = list_ways(Place("https://hub.example", "tf-zos", "production.fl"))
    assert ways[-1].text == "runmode=prod hub=https://hub.example"
    for place in (("tf-zos", "other.fl"), ("me", "production.fl")):
        titles = [way.title for way in list_ways(Place("https://hub.example", *place))]
        assert "Boot a node with it" not in titles


def test_the_service_of_a_node_is_one() -> None:
    place = Place("https://hub.example", "me", "web.fl", "me/web", "c2VjcmV0")
    text = next(way.text for way in list_ways(place) if "zinit" in way.said)
    service, warnings = parse_service("web", text)
    shell, option, steps = shlex.split(service.exec)
    assert (shell, option) == ("sh", "-c") and steps.endswith(place.mount("/srv/web"))
    assert warnings == []
