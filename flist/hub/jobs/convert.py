"""The job `convert`: an OCI image becomes a flist in a repository.

What a worker has made is read as what a stranger has sent: each block by its hash, the flist with
all checks of an upload.
"""

from typing import Any

from flist.blocks.codec import digest
from flist.hub.jobs.inside import open_folder, read_blocks, read_inside
from flist.hub.jobs.jobs import Context
from flist.hub.jobs.process import Spec, WorkError, run_worker
from flist.hub.settings import HubSettings
from flist.model import MAX_BLOCK_BYTES
from flist.oci.source.reference import parse_reference

CREDENTIALS = ("username", "password", "auth", "identity_token", "registry_token")
WORKED = 80.0
"""Of 100: the rest is storing the blocks."""
META = "image.fl"


def convert(context: Context) -> dict[str, Any]:
    """Convert the image of a job, and publish it."""
    spec = context.task.spec
    done = work(context, {"kind": "convert", "platform": spec.get("platform", "")})
    with open_folder(context.folder) as folder:
        stored = store_blocks(context, folder)
        limit = context.hub.settings.max_flist_bytes
        draft = context.hub.contents.receive(read_inside(folder, META, limit))
    try:
        version = context.hub.flists.publish(
            context.task.viewer, spec["repository"], spec["name"], draft, shown=stored
        )
    finally:
        draft.discard()
    context.hub.audit.note(
        context.task.viewer, "flist.convert", f"{spec['repository']}/{spec['name']}", spec["image"]
    )
    return {
        "repository": spec["repository"],
        "name": spec["name"],
        "digest": version.digest,
        "image": spec["image"],
        "image_digest": str(done.get("digest", ""))[:200],
        "blocks": len(stored),
        "entries": int(done.get("inodes", 0)),
        "size_bytes": int(done.get("size_bytes", 0)),
    }


def resolve(context: Context) -> str:
    """Return the digest of what the image of a job stands for now."""
    return str(work(context, {"kind": "resolve"})["digest"])[:200]


def work(context: Context, spec: Spec) -> Spec:
    """Let a worker do what `spec` says with the image of the job."""
    settings = context.hub.settings
    given = {
        "image": context.task.spec["image"],
        "credentials": dict(context.task.secrets),
        "insecure": list(settings.insecure_registries),
        "size_bytes": settings.job_size_bytes,
        "limits": limits_of(settings),
    }
    return run_worker(
        {**spec, **given},
        context.folder,
        within_s=settings.job_seconds,
        progress=lambda percent, text: context.progress(percent * WORKED / 100, text),
        is_cancelled=context.is_cancelled,
    )


def limits_of(settings: HubSettings) -> dict[str, Any]:
    """Return the limits of a worker."""
    return {
        "memory_bytes": settings.job_memory_bytes,
        "cpu_s": int(settings.job_seconds) + 1,
        "file_bytes": settings.job_size_bytes,
        "hosts": [*settings.private_registries, *settings.insecure_registries],
    }


def store_blocks(context: Context, folder: int) -> set[bytes]:
    """Put the blocks that a worker has made into the store; return their ids."""
    stored: set[bytes] = set()
    for name, data in read_blocks(folder, MAX_BLOCK_BYTES):
        block_id = digest(data)
        if block_id.hex() != name:
            raise WorkError("the worker failed: a block has another hash than its name")
        context.hub.blocks.put(context.task.viewer, block_id, data, is_open=False)
        stored.add(block_id)
        context.progress(WORKED, f"storing blocks: {len(stored)}")
    return stored


def check_image(text: str) -> str:
    """Return the image's full name. Raises `UsageError`."""
    return str(parse_reference(text))
