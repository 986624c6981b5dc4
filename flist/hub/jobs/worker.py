"""The worker: a process that does one piece of work in a folder of its own.

It reads one JSON object from stdin, with `kind`, `limits`, and what the kind needs. It writes JSON
objects to stdout, a line each: {"progress": 0 to 100, "message": TEXT}, and as the last one
{"result": OBJECT} or {"error": TEXT, "hint": TEXT}. Files that it makes are in its folder, and the
blocks in `blocks/` there, as a `dir` store has them.
"""

import encodings.idna
import json
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.errors import UsageError, ZosError
from flist.archive.limits import Limits
from flist.hub.jobs.confine import Confinement, confine
from flist.model import Route
from flist.oci.convert import convert
from flist.oci.platform import parse_platform
from flist.oci.source.auth import read_credentials
from flist.oci.source.reference import parse_reference
from flist.oci.source.registry import Registry
from flist.oci.source.session import Session
from flist.store import folder as folder_store

LOADED = (
    encodings.idna,
    ssl,
    folder_store,
)  # later, as nobody, this process might not be able to read them
HERE = Path("/proc/self/cwd")
"""The way to the folder by its path may lead through others that are closed to nobody."""
META = "image.fl"
BLOCKS = "blocks"
TOLD_EVERY_S = 0.5
Spec = dict[str, Any]


def main() -> int:
    """Do the work."""
    spec: Spec = json.loads(sys.stdin.readline())
    confine(Confinement(**spec["limits"]))
    try:
        say({"result": KINDS[spec["kind"]](spec, HERE, make_progress(spec["kind"]))})
    except ZosError as error:
        say({"error": error.message, "hint": error.hint or ""})
    except MemoryError:
        say({"error": "it needs more memory than a job may have", "hint": ""})
    except OSError as error:
        say({"error": f"the work failed: {error.strerror or error}", "hint": ""})
    return 0


def say(value: Spec) -> None:
    """Write one line to the server."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def make_progress(what: str) -> Callable[[int, int], None]:
    """Return what tells the server how far the work is, a few times a second."""
    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TOLD_EVERY_S or done == total:
            told = now
            percent = 100 * done / total if total else 0.0
            say({"progress": percent, "message": f"{what}: {done} of {total} bytes"})

    return progress


def open_session(spec: Spec) -> Session:
    """Return the session with an image's registry. Raises `UsageError`."""
    reference = parse_reference(spec["image"])
    names = ("username", "password", "auth", "identity_token", "registry_token")
    secrets = spec.get("credentials") or {}
    credentials = read_credentials(**{name: secrets.get(name, "") for name in names})
    return Session(reference, credentials, is_insecure=reference.endpoint in spec["insecure"])


def convert_image(spec: Spec, folder: Path, progress: Callable[[int, int], None]) -> Spec:
    """Convert an OCI image."""
    platform = parse_platform(spec["platform"]) if spec.get("platform") else None
    session = open_session(spec)
    try:
        say({"progress": 0, "message": f"asking the registry for {session.reference}"})
        image = Registry(session).find(platform)
        routes = [Route(0, 255, f"dir://{folder / BLOCKS}")]
        limits = Limits(size_bytes=spec["size_bytes"])
        done = convert(image, spec["image"], folder / META, routes, limits=limits,
                       progress=progress)  # fmt: skip
    finally:
        session.close()
    return {**done._asdict(), "meta": META}


def resolve_image(spec: Spec, _folder: Path, _progress: Callable[[int, int], None]) -> Spec:
    """Return the digest of what an image's tag stands for now."""
    session = open_session(spec)
    try:
        _, _, digest = Registry(session).get_manifest(session.reference.target)
    finally:
        session.close()
    return {"digest": str(digest)}


KINDS: dict[str, Callable[[Spec, Path, Callable[[int, int], None]], Spec]] = {
    "convert": convert_image,
    "resolve": resolve_image,
}

if __name__ == "__main__":
    try:
        sys.exit(main())
    except UsageError as error:
        say({"error": error.message, "hint": error.hint or ""})
