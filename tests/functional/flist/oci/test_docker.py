"""Conversion of images from a real registry, a layout and archives, compared with overlayfs."""

import argparse
import base64
import gzip
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.debian.fetch import fetch_packages
from flist.commands import docker as command
from flist.format.database import FlistFile
from flist.oci.source import archive, layout, saved
from flist.store import folder as folder_store
from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.flist.overlay import join_layers
from tests.helpers.flist.registry import (
    PASSWORD,
    USER,
    Built,
    build_image,
    build_index,
    folder,
    hard,
    link,
    make_layer,
    member,
    push,
    running_registry,
    write_layout,
    write_saved,
)
from tests.helpers.flist.trees import describe
from tests.helpers.needs import need_fuse, need_root, need_tool

NOBODY = 65534
LOADED = (
    archive,
    layout,
    saved,
    folder_store,
)  # imported as root: the user nobody cannot read them
CONFIG: dict[str, Any] = {
    "Entrypoint": ["/usr/bin/busybox", "sh"],
    "Cmd": ["-c", 'echo "hello"'],
    "Env": ["PATH=/usr/bin:/bin", "GREETING=good morning", "EMPTY="],
    "User": "1000:1000",
    "WorkingDir": "/srv",
    "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
}
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000").decode("latin-1")
BIG = bytes(range(256)) * 5000


@pytest.fixture(scope="module")
def layers() -> list[bytes]:
    """Return a layer with Debian packages and two layers that change it in every way."""
    need_tool("apt-get")
    base = fetch_packages(["busybox-static", "netbase", "perl-base"]).read_bytes()
    xattrs = {
        "SCHILY.xattr.user.note": "value",
        "SCHILY.xattr.security.capability": CAPABILITY,
    }
    second = make_layer(
        folder("./", 0o711, uid=3),
        folder("srv", 0o1770, uid=7, gid=4_000_000_000),
        member("srv/big", BIG, mode=0o4755, uid=1234, gid=4321, mtime=1_600_000_000.25),
        hard("srv/big-too", "srv/big"),
        member("srv/tool", b"#!/bin/sh\n", mode=0o755, pax_headers=xattrs),
        link("srv/link", "../etc/networks"),
        link("srv/absolute", "/etc/protocols"),
        member("srv/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        member("srv/disk", type=tarfile.BLKTYPE, devmajor=259, devminor=70000, mode=0o600),
        member("srv/pipe", type=tarfile.FIFOTYPE, mode=0o620),
        folder("srv/data"),
        member("srv/data/old", b"old"),
        folder("srv/data/deep"),
        member("srv/data/deep/older", b"older"),
        folder("srv/" + "long" * 30),
        member("srv/" + "long" * 30 + "/" + "n" * 255, b"long"),
        member("srv/naïve 日本", b"text"),
        folder("etc"),
        member("etc/rpc", b"changed\n", uid=9),
    )
    third = make_layer(
        folder("./", 0o755),
        folder("srv", 0o750, uid=8),
        member("srv/big", b"small now"),  # srv/big-too keeps what is below
        member("srv/.wh.link"),
        folder("srv/data"),
        member("srv/data/new", b"new"),
        member("srv/data/.wh..wh..opq"),
        member("srv/null", b"a file where a device was"),
        folder("srv/tool"),
        member("srv/tool/inside", b"a directory where a file was"),
        folder("etc"),
        member("etc/.wh.services"),
    )
    return [base, second, third]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a registry without authentication."""
    with running_registry(tmp_path_factory.mktemp("r") / "open") as host:
        yield host


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a registry that demands a user and a password."""
    with running_registry(tmp_path_factory.mktemp("r") / "private", is_private=True) as host:
        yield host


def small_image(text: str = "hello", **fields: Any) -> Built:
    return build_image([make_layer(member("text", text.encode()))], **fields)


def docker(tmp_path: Path, *words: str | Path, **options: Any) -> Path:
    """Convert an image; return the path of the flist."""
    meta = tmp_path / "image.fl"
    done = rfs("docker", "-s", f"dir://{tmp_path}/blocks", "-m", meta, *words, **options)
    if options.get("check") is False:
        pytest.fail(f"use `refused`: {done}")
    return meta


def refused(tmp_path: Path, *words: str | Path) -> str:
    """Run a conversion that must fail and leave no flist; return its stderr."""
    meta = tmp_path / "refused.fl"
    store = f"dir://{tmp_path}/blocks"
    done = rfs("docker", "-s", store, "-m", meta, *words, check=False)
    assert done.returncode in (1, 2), done.stderr
    assert not meta.exists()
    assert "Traceback" not in done.stderr
    return done.stderr


def image_tag(meta: Path) -> dict[str, Any]:
    with FlistFile.open(meta) as flist:
        found: dict[str, Any] = json.loads(flist.tags()["image"])
        return found


def content(meta: Path) -> list[Any]:
    """Return inodes, attributes and blocks of a flist."""
    with FlistFile.open(meta) as flist:
        inodes = list(flist.inodes())
        return [inodes, flist.all_meta(), [flist.blocks(inode.ino) for inode in inodes]]


def read(tmp_path: Path, meta: Path, name: str) -> bytes:
    rfs("unpack", "-m", meta, "-c", tmp_path / "cache", tmp_path / "read")
    data = (tmp_path / "read" / name).read_bytes()
    shutil.rmtree(tmp_path / "read")
    return data


def test_a_debian_image_equals_its_layers_in_an_overlay(
    tmp_path: Path, registry: str, layers: list[bytes]
) -> None:
    """Whiteouts, opaque directories, hard links, devices, owners, attributes, compressions."""
    need_root()
    need_fuse()
    built = build_image(layers, ["gzip", "zstd", ""], **CONFIG)
    digest = push(registry, "farm/box", "1.0", built)
    meta = docker(tmp_path, "-i", f"{registry}/farm/box:1.0", "--insecure")
    expected = describe(join_layers(tmp_path / "kernel", layers))
    with mounted(meta, tmp_path / "m", "-c", tmp_path / "cache") as mount:
        seen = describe(mount.path)
    rfs("unpack", "-p", "-m", meta, "-c", tmp_path / "cache", tmp_path / "out")
    unpacked = describe(tmp_path / "out")
    for found in (seen, unpacked):
        assert found.pop(".startup.toml")["mode"] == "0o100644"
        assert found == expected
    assert len(expected) > 300
    assert image_tag(meta)["digest"] == digest


def test_a_conversion_equals_a_pack_of_the_tree(
    tmp_path: Path, registry: str, layers: list[bytes]
) -> None:
    need_root()
    push(registry, "farm/box", "2.0", build_image(layers, **CONFIG))
    meta = docker(tmp_path, "-i", f"{registry}/farm/box:2.0", "--insecure")
    rfs("unpack", "-p", "-m", meta, "-c", tmp_path / "cache", tmp_path / "out")
    rfs("pack", "-m", tmp_path / "b.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "out")
    assert content(meta) == content(tmp_path / "b.fl")


def test_layout_archives_and_registry_give_the_same_flist(
    tmp_path: Path, registry: str, layers: list[bytes]
) -> None:
    built = build_image(layers, **CONFIG)
    push(registry, "farm/box", "3.0", built)
    written = write_layout(tmp_path / "layout", built, "3.0")
    with tarfile.open(tmp_path / "oci.tar", "w") as opened:
        opened.add(written, ".")
    older = write_saved(tmp_path / "saved.tar", layers, "farm/box:3.0", **CONFIG)
    (tmp_path / "saved.tar.gz").write_bytes(gzip.compress(older.read_bytes(), 1))
    sources = [
        ["-i", f"{registry}/farm/box:3.0", "--insecure"],
        ["--oci-layout", str(written)],
        ["--archive", str(tmp_path / "oci.tar"), "-i", "farm/box:3.0"],
        ["--archive", str(older)],
        ["--archive", str(tmp_path / "saved.tar.gz"), "-i", "docker.io/farm/box:3.0"],
    ]
    found = [content(docker(tmp_path, *words)) for words in sources]
    assert all(each == found[0] for each in found)


def test_the_configuration_is_kept(tmp_path: Path) -> None:
    written = write_layout(tmp_path / "layout", small_image(**CONFIG))
    meta = docker(tmp_path, "--oci-layout", written, "-i", "")
    startup = tomllib.loads(read(tmp_path, meta, ".startup.toml").decode())
    assert startup["startup"]["entry"] == {
        "name": "core.system",
        "args": {
            "name": "/usr/bin/busybox",
            "args": ["sh", "-c", 'echo "hello"'],
            "env": {"PATH": "/usr/bin:/bin", "GREETING": "good morning", "EMPTY": ""},
            "dir": "/srv",
        },
    }
    tag = image_tag(meta)
    assert tag["entrypoint"] == CONFIG["Entrypoint"]
    assert tag["command"] == CONFIG["Cmd"]
    assert tag["environment"] == CONFIG["Env"]
    assert (tag["user"], tag["directory"]) == ("1000:1000", "/srv")
    assert tag["ports"] == ["53/udp", "8080/tcp"]


@pytest.mark.parametrize("is_docker", [False, True])
def test_the_wanted_platform_is_chosen_from_an_index(
    tmp_path: Path, registry: str, is_docker: bool
) -> None:
    names = ("amd64", "arm64", "s390x")
    images = [small_image(name, architecture=name, docker=is_docker) for name in names]
    digest = push(registry, "farm/multi", "latest", build_index(images, docker=is_docker))
    image = f"{registry}/farm/multi"
    arm = docker(tmp_path, "-i", image, "--insecure", "--platform", "linux/arm64")
    assert read(tmp_path, arm, "text") == b"arm64"
    by_digest = docker(
        tmp_path, "-i", f"{image}@{digest}", "--insecure", "--platform", "linux/s390x"
    )
    assert read(tmp_path, by_digest, "text") == b"s390x"
    child = docker(tmp_path, "-i", f"{image}@{images[0].digest}", "--insecure")
    assert read(tmp_path, child, "text") == b"amd64"
    assert image_tag(child)["digest"] == images[0].digest
    said = refused(tmp_path, "-i", image, "--insecure", "--platform", "linux/riscv64")
    assert "there is none for linux/riscv64" in said
    assert "linux/amd64, linux/arm64, linux/s390x" in said
    alone = ["-i", f"{image}@{images[0].digest}", "--insecure", "--platform", "linux/arm64"]
    assert "it is for linux/amd64, not for linux/arm64" in refused(tmp_path, *alone)


def test_a_private_registry(tmp_path: Path, private: str) -> None:
    push(private, "farm/secret", "1", small_image())
    image = ["-i", f"{private}/farm/secret:1", "--insecure"]
    assert "--username" in refused(tmp_path, *image)
    assert "cannot pull" in refused(tmp_path, *image, "--username", USER, "--password", "wrong")
    elsewhere = ["--username", USER, "--password", PASSWORD, "--server-address", "ghcr.io"]
    assert "the credentials are for ghcr.io" in refused(tmp_path, *image, *elsewhere)
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    logins = [
        ["--username", USER, "--password", PASSWORD, "--email", "a@example.org"],
        ["--auth", pair, "--server-address", f"http://{private}/v2/"],
    ]
    for login in logins:
        meta = docker(tmp_path, *image, *login)
        assert read(tmp_path, meta, "text") == b"hello"
        data = meta.read_bytes()
        assert PASSWORD.encode() not in data
        assert pair.encode() not in data


def test_a_registry_with_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is checked; without --insecure only TLS is used."""
    with running_registry(tmp_path / "r", is_private=True) as host:
        push(host, "farm/tls", "1", small_image())
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate], check=True, capture_output=True,
    )  # fmt: skip
    with running_registry(tmp_path / "r", is_private=True, tls=(certificate, key)) as host:
        words = ["-i", f"{host}/farm/tls:1", "--username", USER, "--password", "-"]
        monkeypatch.setenv("RFS_PASSWORD", PASSWORD)
        assert "certificate" in refused(tmp_path, *words)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert read(tmp_path, docker(tmp_path, *words), "text") == b"hello"


def test_memory_does_not_depend_on_the_size_of_a_layer(tmp_path: Path) -> None:
    """A process of less than 80 MiB converts an incompressible file of 128 MiB."""
    data = random.Random(1).randbytes(128 << 20)
    image = write_saved(tmp_path / "a.tar", [make_layer(member("big", data))], "a:1")
    code = (
        "import sys; from flist.cli import main; main(sys.argv[1:], 'rfs');"
        "print(open('/proc/self/status').read())"
    )
    words: list[str | Path] = [
        "docker",
        "--archive",
        image,
        "-s",
        f"dir://{tmp_path}/b",
        "-m",
        tmp_path / "a.fl",
    ]
    said = subprocess.run(
        [sys.executable, "-c", code, *words], check=True, capture_output=True, text=True
    ).stdout
    peak_kib = int(said.partition("VmHWM:")[2].split()[0])
    with FlistFile.open(tmp_path / "a.fl") as flist:
        assert flist.totals()[1] > len(data)
    assert peak_kib < 80 << 10


def test_the_default_file_name_is_that_of_upstream(
    tmp_path: Path, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(registry, "farm/named", "1.2", small_image())
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    store = f"dir://{tmp_path}/blocks"
    rfs("docker", "-i", f"{registry}/farm/named:1.2", "-s", store, "--insecure")
    assert (tmp_path / f"{registry}-farm-named-1.2.fl".replace(":", "-")).exists()


def test_missing_images_and_wrong_options(tmp_path: Path, registry: str) -> None:
    push(registry, "farm/there", "1", small_image())
    missing = refused(tmp_path, "-i", f"{registry}/farm/there:2", "--insecure")
    assert "cannot find" in missing
    assert "--insecure" in refused_plain(tmp_path, registry)
    assert "cannot read image name" in refused(tmp_path, "-i", "UPPER/case")
    assert "no image is named" in refused(tmp_path)


def refused_plain(tmp_path: Path, registry: str) -> str:
    """Use a registry with plain HTTP without --insecure: TLS fails, and plain HTTP is not tried."""
    said = refused(tmp_path, "-i", f"{registry}/farm/there:1")
    assert "cannot reach" in said
    return said


def test_a_conversion_needs_no_root(tmp_path: Path, layers: list[bytes]) -> None:
    """A user without privileges gets the same flist."""
    need_root()
    image = write_saved(tmp_path / "a.tar", layers, "a:1")
    as_root = docker(tmp_path, "--archive", image)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        Path(place).chmod(0o777)
        shutil.copy(image, place)
        # A fork, since the user nobody may be unable to start the interpreter.
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply(convert_as_nobody, (place,)) == 0
        assert (Path(place) / "b.fl").stat().st_uid == NOBODY
        assert content(Path(place) / "b.fl") == content(as_root)


def convert_as_nobody(place: str) -> int:
    """Convert PLACE/a.tar to PLACE/b.fl as an unprivileged user."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    words = ["--archive", f"{place}/a.tar", "-s", f"dir://{place}/blocks", "-m", f"{place}/b.fl"]
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))
