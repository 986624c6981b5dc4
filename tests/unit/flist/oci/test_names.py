"""Names, platforms, manifests and configurations of images, valid and hostile."""

import contextlib
import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError, ZosError
from flist.blocks.codec import digest
from flist.format.database import FlistFile
from flist.oci.config import Config, parse_config, startup_toml
from flist.oci.digest import parse_digest
from flist.oci.errors import ImageError
from flist.oci.manifest import Index, Manifest, parse_manifest
from flist.oci.platform import Platform, choose, parse_platform
from flist.oci.source.reference import flist_name, parse_reference
from tests.helpers.flist.registry import (
    OCI,
    build_image,
    build_index,
    make_config,
    make_layer,
    member,
)
from tests.helpers.samples import samples_dir

HEX = "0123456789abcdef" * 4
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.mark.parametrize(
    ("text", "full", "endpoint"),
    [
        ("redis", "docker.io/library/redis:latest", "registry-1.docker.io"),
        ("redis:7", "docker.io/library/redis:7", "registry-1.docker.io"),
        ("a/b", "docker.io/a/b:latest", "registry-1.docker.io"),
        ("docker.io/redis", "docker.io/library/redis:latest", "registry-1.docker.io"),
        ("ghcr.io/a/b/c:x", "ghcr.io/a/b/c:x", "ghcr.io"),
        ("localhost/a", "localhost/a:latest", "localhost"),
        ("host:5000/a:1", "host:5000/a:1", "host:5000"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000"),
        (f"a/b@sha256:{HEX}", f"docker.io/a/b@sha256:{HEX}", "registry-1.docker.io"),
        (f"a/b:1@sha256:{HEX}", f"docker.io/a/b:1@sha256:{HEX}", "registry-1.docker.io"),
    ],
)
def test_names(text: str, full: str, endpoint: str) -> None:
    reference = parse_reference(text)
    assert str(reference) == full
    assert reference.endpoint == endpoint
    assert reference.target == (f"sha256:{HEX}" if "@" in text else full.rpartition(":")[2])


@pytest.mark.parametrize(
    "text",
    ["", "A", "a//b", "a/../b", "http://a.b/c", "user:pw@host.io/a", "a:b:c", "a.b:x/c",
     "a@sha256:00", "a:" + "t" * 129, "host.io/", "a b", "a\n", "a?x=1", "host.io:5000:1/a"],
)  # fmt: skip
def test_invalid_names_are_refused(text: str) -> None:
    with pytest.raises(ZosError):
        parse_reference(text)


def test_file_names_are_those_of_upstream() -> None:
    assert flist_name("redis") == "redis-latest.fl"
    assert flist_name("ghcr.io/a/b:1.0") == "ghcr.io-a-b-1.0.fl"
    assert flist_name("host:5000/a") == "host-5000-a.fl"


def test_platforms() -> None:
    offers = [(Platform("linux", "arm", "v6"), 6), (Platform("linux", "arm64"), 64),
              (Platform("linux", "arm", "v7"), 7), (Platform("linux", "amd64"), 1)]  # fmt: skip
    assert choose(offers, parse_platform("linux/arm64/v8")) == 64
    assert choose(offers, parse_platform("linux/aarch64")) == 64
    assert choose(offers, parse_platform("linux/arm")) == 7
    assert choose(offers, parse_platform("linux/arm/v6")) == 6
    assert choose(offers, parse_platform("linux/x86_64")) == 1
    assert choose(offers, parse_platform("windows/amd64")) is None
    with pytest.raises(UsageError):
        parse_platform("amd64")


def test_manifests_and_indexes() -> None:
    image = build_image([make_layer(member("a"))])
    found = parse_manifest(image.manifest, image.media_type)
    assert isinstance(found, Manifest)
    assert [str(layer.digest) for layer in found.layers] == list(image.blobs)[1:]
    index = parse_manifest(build_index([image]).manifest)
    assert isinstance(index, Index)
    assert index.manifests[0].platform == Platform("linux", "amd64")


def changed(path: list[Any], value: Any) -> bytes:
    """Return a valid manifest with one field changed."""
    manifest = json.loads(build_image([make_layer(member("a"))]).manifest)
    place = manifest
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(manifest).encode()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["layers", 0, "mediaType"], f"{OCI}.layer.nondistributable.v1.zip", "has the type"),
        (["layers", 0, "mediaType"], f"{OCI}.layer.v1.tar+encrypted", "has the type"),
        (["layers", 0, "digest"], "sha256:../../etc/passwd", "is not a sha256"),
        (["layers", 0, "digest"], f"md5:{HEX}", "is not a sha256"),
        (["layers", 0, "digest"], 7, "is not a sha256"),
        (["layers", 0, "size"], -1, "proper size"),
        (["layers", 0, "size"], 1e9, "proper size"),
        (["layers", 0, "size"], True, "proper size"),
        (["layers"], {}, "not a list"),
        (["layers"], [None] * 3, "not an object"),
        (["config", "mediaType"], "application/vnd.cncf.helm.config.v1+json", "no container image"),
        (["mediaType"], "text/html", "its type is"),
        (["mediaType"], f"{OCI}.index.v1+json", "do not agree"),
        (["manifests"], [], "either layers or manifests"),
        (["schemaVersion"], 1, "schema 1"),
    ],
)
def test_manifests_that_are_refused(path: list[Any], value: Any, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        parse_manifest(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["layers", 0, "urls"], ["https://elsewhere/x"]),
        (["layers", 0, "mediaType"], f"{OCI}.layer.nondistributable.v1.tar+gzip"),
        (["layers", 0, "mediaType"], "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    ],
)
def test_foreign_layers_are_noted(path: list[Any], value: Any) -> None:
    found = parse_manifest(changed(path, value))
    assert isinstance(found, Manifest)
    assert found.layers[0].is_foreign and not found.config.is_foreign


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["layers", "config", "manifests", "digest", "size", "mediaType", "platform",
                         "rootfs", "diff_ids", "Env", "Cmd", "os", "urls", "annotations"]),
        inner, max_size=4),
    max_leaves=20,
))  # fmt: skip
def test_any_json_is_read_or_refused(value: Any) -> None:
    data = json.dumps(value).encode()
    for parse in (parse_manifest, parse_config):
        with contextlib.suppress(ImageError):
            parse(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(data: bytes) -> None:
    for parse in (parse_manifest, parse_config):
        with pytest.raises(ImageError):
            parse(data)


def test_deep_json_is_refused() -> None:
    with pytest.raises(ImageError):
        parse_manifest(b"[" * 100_000)


def config(**fields: Any) -> Config:
    return parse_config(make_config([], **fields))


@pytest.mark.parametrize(
    "fields",
    [{"Cmd": 7}, {"Cmd": [7]}, {"Env": {"a": "b"}}, {"User": 1000}, {"ExposedPorts": ["80"]},
     {"Cmd": ["a\0b"]}, {"WorkingDir": "\ud800"}],
)  # fmt: skip
def test_configurations_that_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ImageError):
        config(**fields)


@pytest.mark.parametrize(
    ("sample", "fields"),
    [
        # Upstream lost the command of hello-world; an image without one gives the same file.
        ("hello-world.fl", {"Env": [PATH]}),
        ("alpine.fl", {"Env": [PATH], "Cmd": ["/bin/sh"]}),
    ],
)
def test_the_startup_file_equals_upstreams(sample: str, fields: dict[str, Any]) -> None:
    with FlistFile.open(samples_dir() / sample) as flist:
        ino = next(i.ino for i in flist.children(1) if i.name == b".startup.toml")
        (block,) = flist.blocks(ino)
    assert digest(startup_toml(config(**fields))) == block.key


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_the_startup_file_can_hold_any_text(words: list[str]) -> None:
    environment = [f"{word}={word}" for word in words]
    text = startup_toml(config(Entrypoint=words[:1], Cmd=words[1:], Env=environment)).decode()
    found = tomllib.loads(text)["startup"]["entry"]["args"]
    assert [found["name"], *found["args"]] == (words or [""])
    assert found["env"] == dict(item.partition("=")[::2] for item in environment)


def test_digests() -> None:
    assert parse_digest(f"sha256:{HEX}").hex == HEX
    assert parse_digest(f"sha512:{HEX}{HEX}").algorithm == "sha512"
    for text in (
        HEX,
        f"sha256:{HEX.upper()}",
        f"sha256:{HEX}0",
        "sha256:",
        None,
        f"sha256:{HEX}\n",
    ):
        with pytest.raises(ImageError):
            parse_digest(text)
