"""A hub that follows another, and exports that plain web servers give to nodes."""

import contextlib
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from common.errors import UsageError
from flist.errors import StoreError
from flist.format.signing.keys import generate_key, load_private_key
from flist.format.signing.sign import sign_flist
from flist.hub.accounts.administration import CONSOLE
from flist.hub.app import create_app
from flist.hub.cli import main
from flist.hub.library.accepting import parse_flist
from flist.hub.library.links import Links
from flist.hub.mirror.export import Exporter
from flist.hub.mirror.follow import Follower
from flist.hub.mirror.mirrors import Mirrors
from flist.hub.mirror.targets import BucketTarget, FolderTarget
from flist.model import Route
from flist.pack.pack import pack
from node.flists.fetch import Signed, fetch_flist
from node.flists.model import WORKLOAD, Wanted
from serving.listen import open_listener, own_url
from serving.run import serve_in_thread
from tests.helpers.flist.hub import LocalHub, make_hub
from tests.helpers.flist.mount import free_port
from tests.helpers.flist.s3_server import s3_server
from tests.helpers.needs import need_tool
from tests.helpers.waiting import wait_until

NAME = "tf-zos/production.fl"
TEXTS = {"hello": b"hello\n", "large": bytes(range(256)) * 5000, "empty": b""}


def make_source(root: Path, texts: dict[str, bytes], key: Path | None = None) -> Path:
    """Make a plain hub folder with one flist; return it."""
    tree = root.with_name(f"{root.name}-tree")
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for name, data in texts.items():
        (tree / name).write_bytes(data)
    place = root / "flists" / NAME
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    pack(tree, place, [Route(0, 255, f"dir://{root / 'blocks'}")])
    if key is not None:
        text = sign_flist(place, NAME.removesuffix(".fl"), load_private_key(key))
        place.with_suffix(".fl.sig").write_text(text)
    return root


@contextlib.contextmanager
def serve(root: Path) -> Iterator[str]:
    """Serve a hub's folder; yield the URL."""
    listener = open_listener("127.0.0.1", 0)
    with serve_in_thread(create_app(root), listener):
        yield own_url(listener)


def read_ids(hub: LocalHub) -> set[bytes]:
    """Return the blocks that the published flist names."""
    viewer = hub.viewer("operator")
    entry = hub.hub.flists.find(viewer, *NAME.split("/"))
    return set(parse_flist(hub.hub.contents.path(entry.digest)).blocks)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return the file of a private key."""
    generate_key(tmp_path / "key")
    return tmp_path / "key"


def test_a_follower_pulls_only_what_is_missing(tmp_path: Path, key: Path) -> None:
    source = make_source(tmp_path / "source", TEXTS, key)
    hub = make_hub(tmp_path / "hub")
    with serve(source) as url:
        follower = Follower(hub.hub, hub.viewer("operator"))
        first = follower.pull(url)
        assert (first.changed, first.unchanged, first.faults) == (1, 0, [])
        assert first.blocks == len(read_ids(hub))
        assert not hub.hub.blocks.missing(read_ids(hub))
        assert follower.pull(url).unchanged == 1
        make_source(source, {**TEXTS, "hello": b"hello again\n"}, key)
        second = follower.pull(url)
        assert (second.changed, second.blocks) == (1, 1)
    history = hub.hub.flists.history(hub.viewer("operator"), *NAME.split("/"))
    assert [version.is_signed for version in history] == [True, True]


def test_a_pattern_chooses(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", TEXTS)
    hub = make_hub(tmp_path / "hub")
    with serve(source) as url:
        follower = Follower(hub.hub, hub.viewer("operator"))
        assert follower.pull(url, "other/*").changed == 0
        assert follower.pull(url, "tf-*/prod*.fl").changed == 1


def test_a_damaged_block_costs_its_flist_and_nothing_else(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", TEXTS)
    good = source / "flists" / "tf-zos" / "good.fl"
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "good").write_bytes(b"other content")
    damaged = min((source / "blocks").glob("*/*"))
    damaged.write_bytes(b"damaged")
    pack(tree, good, [Route(0, 255, f"dir://{source / 'blocks'}")])
    hub = make_hub(tmp_path / "hub")
    with serve(source) as url:
        done = Follower(hub.hub, hub.viewer("operator")).pull(url)
    assert (done.changed, len(done.faults)) == (1, 1)
    assert hub.hub.flists.names(hub.viewer("operator")) == ["tf-zos/good.fl"]


def test_the_second_address_is_used_when_the_first_is_away(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", TEXTS)
    hub = make_hub(tmp_path / "hub")
    follower = Follower(hub.hub, hub.viewer("operator"))
    dead = f"http://127.0.0.1:{free_port()}"
    with serve(source) as url:
        assert follower.pull(f"{dead},{url}").changed == 1
    with pytest.raises(StoreError):
        follower.pull(dead)


def test_of_several_servers_one_pulls(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", TEXTS)
    hub = make_hub(tmp_path / "hub")
    now = [1000.0]
    mirrors = Mirrors(hub.hub, clock=lambda: now[0])
    with serve(source) as url:
        number = mirrors.add(CONSOLE, "operator", url, "*", 60)
        assert mirrors.run_due(lambda _: None) == 1
        assert mirrors.run_due(lambda _: None) == 0
        now[0] += 60
        stale = mirrors.find(number)
        assert mirrors.claim(stale) and not mirrors.claim(stale)
        assert "1 unchanged" not in mirrors.find(number).message
    now[0] += 60
    assert mirrors.run_due(lambda _: None) == 0  # it could not be reached
    assert mirrors.find(number).message.startswith("failed: ")
    mirrors.remove(hub.viewer("operator"), number)
    assert mirrors.list_all() == []


def fill(hub: LocalHub, source: Path) -> None:
    """Publish the flist of a plain folder on a hub."""
    with serve(source) as url:
        assert Follower(hub.hub, hub.viewer("operator")).pull(url).changed == 1


def test_a_mirror_ends_with_the_account_that_it_publishes_as(tmp_path: Path) -> None:
    hub = make_hub(tmp_path / "hub")
    mirrors = Mirrors(hub.hub)
    number = mirrors.add(CONSOLE, "bob", "http://127.0.0.1:9", "*", 60)
    hub.hub.accounts.disable("bob")
    assert mirrors.run(mirrors.find(number), lambda _: None) is None
    assert mirrors.find(number).message == "failed: the account bob is disabled"
    hub.hub.accounts.delete("bob")
    status = main(["mirror", "remove", str(number), "--root", str(tmp_path / "hub")], "zos hub")
    assert status == 0 and mirrors.list_all() == []
    assert hub.hub.audit.page(action="mirror.remove")[0].account == "(console)"


def test_an_export_is_a_plain_folder_that_another_hub_follows(tmp_path: Path, key: Path) -> None:
    hub = make_hub(tmp_path / "hub")
    fill(hub, make_source(tmp_path / "source", TEXTS, key))
    target = tmp_path / "export"
    done = Exporter(hub.hub, FolderTarget(target)).run()
    assert (done.flists, done.written) == (1, 1) and done.blocks == len(read_ids(hub))
    again = Exporter(hub.hub, FolderTarget(target)).run()
    assert (again.written, again.blocks) == (0, 0)
    other = make_hub(tmp_path / "other")
    with serve(target) as url:
        assert Follower(other.hub, other.viewer("operator")).pull(url).changed == 1
    assert read_ids(other) == read_ids(hub)


def test_an_export_has_nothing_private_and_prunes(tmp_path: Path) -> None:
    hub = make_hub(tmp_path / "hub")
    fill(hub, make_source(tmp_path / "source", TEXTS))
    target = tmp_path / "export"
    Exporter(hub.hub, FolderTarget(target)).run()
    hub.hub.repositories.change(hub.viewer("operator"), "tf-zos", is_private=True)
    (target / "index.html").write_text("somebody's own")
    (target / "photos").mkdir()
    (target / "photos" / "a.jpg").write_text("somebody's own")
    with pytest.raises(UsageError, match="cannot prune with a pattern"):
        Exporter(hub.hub, FolderTarget(target)).run("tf-*", is_pruning=True)
    done = Exporter(hub.hub, FolderTarget(target)).run(is_pruning=True)
    assert done.flists == 0 and done.removed > 0
    left = sorted(str(p.relative_to(target)) for p in target.rglob("*") if p.is_file())
    assert left == ["api/flist", "index.html", "photos/a.jpg"]
    assert json.loads((target / "api" / "flist").read_text()) == []


def test_an_export_has_links_to_what_is_public_and_leaves_out_the_others(tmp_path: Path) -> None:
    hub = make_hub(tmp_path / "hub")
    fill(hub, make_source(tmp_path / "source", TEXTS))
    operator, links = hub.viewer("operator"), Links(hub.hub.flists)
    hub.hub.repositories.create(operator, "me")
    links.link(operator, "me", "good.fl", ("tf-zos", "production.fl"))
    links.link(operator, "tf-zos", "zos.fl", ("tf-zos", "production.fl"), "v1")
    links.link_tag(operator, "me", "latest", ("tf-zos", "v1"))
    links.promote(operator, ("tf-zos", "production.fl"), "me", "copy.fl")
    links.link(operator, "tf-zos", "gone.fl", ("me", "copy.fl"))
    hub.hub.flists.delete(operator, "me", "copy.fl")
    target = tmp_path / "export"
    assert Exporter(hub.hub, FolderTarget(target)).run().flists == 2
    listed = json.loads((target / "api" / "flist").read_text())
    assert listed == ["me/good.fl", "tf-zos/production.fl"]
    good, real = (target / "flists" / name for name in listed)
    assert good.read_bytes() == real.read_bytes()


def is_open(port: int) -> bool:
    """Return whether somebody listens."""
    with socket.create_connection(("127.0.0.1", port), 5):
        return True


@contextlib.contextmanager
def nginx(root: Path, work: Path) -> Iterator[str]:
    """Serve a folder with nginx as it comes, but for the port."""
    port = free_port()
    work.mkdir()
    (work / "conf").write_text(
        f"daemon off; pid {work}/pid; error_log {work}/log; user root; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {work}/b; proxy_temp_path {work}/p;"
        f" fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;"
        f" server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
    )
    with subprocess.Popen([need_tool("nginx"), "-c", str(work / "conf"), "-e", "stderr"]) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: is_open(port), "nginx listens")
            yield url
        finally:
            server.terminate()


def test_nginx_gives_an_export_to_nodes(tmp_path: Path, key: Path) -> None:
    """What a node asks for: signature, flist, blocks, below the hub's address."""
    hub = make_hub(tmp_path / "hub")
    fill(hub, make_source(tmp_path / "source", TEXTS, key))
    target = tmp_path / "export"
    Exporter(hub.hub, FolderTarget(target)).run()
    with nginx(target, tmp_path / "nginx") as url:
        public = load_private_key(key).public_key().public_bytes_raw()
        name = NAME.removesuffix(".fl")
        assert fetch_flist(
            url, Wanted(WORKLOAD, name), tmp_path / "root.fl", Signed([public], 1 << 20)
        )
        for block_id in read_ids(hub):
            path = f"{url}/blocks/{block_id.hex()[:2]}/{block_id.hex()}"
            assert urllib3.request("GET", path, timeout=10).data == hub.hub.blocks.get(block_id)
        other = make_hub(tmp_path / "other")
        assert Follower(other.hub, other.viewer("operator")).pull(url).changed == 1


def test_an_export_to_a_bucket(tmp_path: Path, key: Path) -> None:
    hub = make_hub(tmp_path / "hub")
    fill(hub, make_source(tmp_path / "source", TEXTS, key))
    (tmp_path / "s3").mkdir()
    with s3_server(tmp_path / "s3") as server:
        server.make_bucket("export")
        target = BucketTarget(server.url("export"))
        done = Exporter(hub.hub, target).run()
        assert done.blocks == len(read_ids(hub))
        keys = target.keys()
        assert {NAME, f"{NAME}.sig", "api/flist"} < keys
        again = Exporter(hub.hub, target).run()
        assert (again.written, again.blocks) == (0, 0)
        hub.hub.repositories.change(hub.viewer("operator"), "tf-zos", is_private=True)
        Exporter(hub.hub, target).run(is_pruning=True)
        assert target.keys() == {"api/flist"}
