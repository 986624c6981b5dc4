"""Makes container images, and runs a real registry (Debian's docker-registry) to push them to."""

import base64
import contextlib
import gzip
import hashlib
import http.client
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard

from tests.helpers.flist.mount import end, free_port
from tests.helpers.needs import need_tool
from tests.helpers.waiting import wait_until

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
USER, PASSWORD = "farmer", "secret-word"
# bcrypt of PASSWORD with cost 4: the registry takes no other hash.
HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuujV0zJ3tj1V5vPQQ5i8Bd/sbbeTbZTaC\n"
UP_WITHIN_S = 90.0


def member(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return one member of a layer; `fields` are attributes of `TarInfo`."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mtime = 1_700_000_000
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def folder(name: str, mode: int = 0o755, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a directory."""
    return member(name, type=tarfile.DIRTYPE, mode=mode, **fields)


def link(name: str, target: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a symbolic link."""
    return member(name, type=tarfile.SYMTYPE, linkname=target, mode=0o777, **fields)


def hard(name: str, target: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a hard link."""
    return member(name, type=tarfile.LNKTYPE, linkname=target, **fields)


def make_layer(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return the tar archive of a layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class Built(NamedTuple):
    """A manifest or index with all blobs that it refers to, by digest."""

    manifest: bytes
    media_type: str
    blobs: Mapping[str, bytes]
    platform: Mapping[str, str]
    children: "Sequence[Built]" = ()

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return digest_of(self.manifest)

    @property
    def descriptor(self) -> dict[str, Any]:
        """The descriptor of the image in an index."""
        size = len(self.manifest)
        found = {"mediaType": self.media_type, "digest": self.digest, "size": size}
        return {**found, "platform": self.platform} if self.platform else found


def digest_of(data: bytes) -> str:
    """Return the digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def compress(data: bytes, how: str) -> bytes:
    """Return `data` compressed with "gzip" or "zstd", or unchanged ("")."""
    if how == "gzip":
        return gzip.compress(data, 1, mtime=0)
    return zstandard.compress(data, 1) if how == "zstd" else data


def make_config(layers: Sequence[bytes], architecture: str = "amd64", **config: Any) -> bytes:
    """Return an image's configuration."""
    diff_ids = [digest_of(layer) for layer in layers]
    value = {
        "os": "linux", "architecture": architecture, "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }  # fmt: skip
    return json.dumps(value).encode()


def build_image(
    layers: Sequence[bytes],
    how: Sequence[str] = (),
    *,
    docker: bool = False,
    architecture: str = "amd64",
    **config: Any,
) -> Built:
    """Return an image of `layers`, lowest first, each compressed with its `how` (default gzip)."""
    packed = [compress(x, h) for x, h in zip(layers, how or ["gzip"] * len(layers), strict=True)]
    described = make_config(layers, architecture, **config)
    kinds = {"": "", "gzip": "gzip", "zstd": "zstd"}
    base = f"{DOCKER}.image.rootfs.diff.tar" if docker else f"{OCI}.layer.v1.tar"
    joint = "." if docker else "+"
    names = [base + (joint + kinds[h] if h else "") for h in how or ["gzip"] * len(layers)]
    config_type = f"{DOCKER}.container.image.v1+json" if docker else f"{OCI}.config.v1+json"
    media_type = f"{DOCKER}.distribution.manifest.v2+json" if docker else f"{OCI}.manifest.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": describe_blob(described, config_type),
        "layers": [describe_blob(x, name) for x, name in zip(packed, names, strict=True)],
    }
    blobs = {digest_of(blob): blob for blob in (described, *packed)}
    platform = {"os": "linux", "architecture": architecture}
    return Built(json.dumps(manifest).encode(), media_type, blobs, platform)


def describe_blob(data: bytes, media_type: str) -> dict[str, Any]:
    """Return the descriptor of a blob."""
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def build_index(images: Sequence[Built], *, docker: bool = False) -> Built:
    """Return an index of images for several platforms."""
    media_type = (
        f"{DOCKER}.distribution.manifest.list.v2+json" if docker else f"{OCI}.index.v1+json"
    )
    value = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [image.descriptor for image in images],
    }
    return Built(json.dumps(value).encode(), media_type, {}, {}, images)


def write_layout(root: Path, built: Built, name: str = "") -> Path:
    """Write an OCI image layout with one image."""
    blobs = root / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for item in (built, *built.children):
        for digest, blob in {**item.blobs, item.digest: item.manifest}.items():
            (blobs / digest.partition(":")[2]).write_bytes(blob)
    entry = built.descriptor
    if name:
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
    index = {"schemaVersion": 2, "manifests": [entry]}
    (root / "index.json").write_text(json.dumps(index))
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return root


def write_saved(path: Path, layers: Sequence[bytes], tag: str, **config: Any) -> Path:
    """Write an archive as `docker save` did before version 25."""
    described = make_config(layers, **config)
    config_name = digest_of(described).partition(":")[2] + ".json"
    names = [f"{digest_of(layer)[7:]}/layer.tar" for layer in layers]
    listed = [{"Config": config_name, "RepoTags": [tag], "Layers": names}]
    members = [member(config_name, described)]
    members += [member(name, layer) for name, layer in zip(names, layers, strict=True)]
    members.append(member("manifest.json", json.dumps(listed).encode()))
    path.write_bytes(make_layer(*members))
    return path


@contextlib.contextmanager
def running_registry(
    root: Path, *, is_private: bool = False, tls: tuple[Path, Path] | None = None
) -> Iterator[str]:
    """Run Debian's registry for the `with` block; yields HOST:PORT. `tls`: certificate and key."""
    program = need_tool("docker-registry")
    root.mkdir(exist_ok=True)
    host = f"127.0.0.1:{free_port()}"
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(root / "data")}},
        "http": {"addr": host},
    }
    if is_private:
        (root / "htpasswd").write_text(HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "farm", "path": str(root / "htpasswd")}}
    if tls is not None:
        config["http"]["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
    (root / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", root / "config.yml"], stdout=log, stderr=log, text=True
        )
    with process:
        try:
            wait_until(lambda: is_up(process, host, root), "the registry is up", UP_WITHIN_S)
            yield host
        finally:
            end(process)


def is_up(process: "subprocess.Popen[str]", host: str, root: Path) -> bool:
    """Return whether the registry answers; fails the test if it has exited."""
    if process.poll() is not None:
        pytest.fail(f"the registry ended: {(root / 'log').read_text()}")
    try:
        return ask(host, "GET", "/v2/")[0] in (200, 400, 401)  # 400: it speaks TLS
    except OSError:
        return False


def ask(
    host: str, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, Mapping[str, str]]:
    """Send one request; return status and headers."""
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    words = {key.replace("_", "-"): value for key, value in headers.items()}
    connection = http.client.HTTPConnection(host, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Authorization": f"Basic {pair}", **words})
        response = connection.getresponse()
        response.read()
        return response.status, {key.lower(): value for key, value in response.getheaders()}


def push(host: str, repository: str, tag: str, built: Built) -> str:
    """Push an image through the distribution API; return its digest."""
    for child in built.children:
        push(host, repository, child.digest, child)
    for digest, blob in built.blobs.items():
        status, headers = ask(host, "POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202, status
        place = headers["location"].partition(host)[2] or headers["location"]
        joint = "&" if "?" in place else "?"
        status, _ = ask(
            host, "PUT", f"{place}{joint}digest={digest}", blob,
            Content_Type="application/octet-stream",
        )  # fmt: skip
        assert status == 201, status
    status, _ = ask(
        host, "PUT", f"/v2/{repository}/manifests/{tag}", built.manifest,
        Content_Type=built.media_type,
    )  # fmt: skip
    assert status == 201, status
    return built.digest
