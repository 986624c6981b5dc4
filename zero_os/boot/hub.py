"""Makes the hub of `zos boot`: a Debian root file system with Redis, packed and signed."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import flist as flist_package
from common.debian.fetch import fetch_packages
from common.files import write_atomic
from common.locks import hold_lock
from common.paths import cache_dir
from common.run import run
from flist.format.signing.keys import generate_key, load_private_key, public_text
from flist.format.signing.sign import sign_flist
from flist.pack.pack import pack
from flist.store.routed import parse_route

# A small Debian system. A node should fetch only the parts that it runs.
BASE = (
    "apt base-files base-passwd bash coreutils dash debianutils diffutils dpkg findutils grep gzip"
)
BASE += " hostname libc-bin login mawk ncurses-base ncurses-bin passwd perl-base sed tar util-linux"
PACKAGES = (*BASE.split(), "redis-server", "redis-tools")
NAME = "tf-zos/development"
OVERLAY = Path(__file__).parent / "workload"
EXTRACT_DEADLINE_S = 300
LOCK_DEADLINE_S = 1500


@dataclass(frozen=True)
class LocalHub:
    """A folder for a hub to serve, and the public key of its flist's signature."""

    root: Path
    key_file: Path
    flist: Path
    total_bytes: int  # all files in the flist


def make_signing_key() -> Path:
    """Return this machine's private key for its own flists; write the public key beside it."""
    folder = cache_dir("boot", "keys")
    private = folder / "flist.key"
    if not private.exists():
        generate_key(private)
    write_atomic(folder / "flist.pub", f"{public_text(load_private_key(private))}\n".encode())
    return private


def prepare_hub(say: Callable[[str], None]) -> LocalHub:
    """Return the hub; pack the workload again if any of its inputs has changed."""
    with hold_lock(cache_dir("boot") / "hub.lock", "preparing the hub", LOCK_DEADLINE_S, say):
        say("checking the workload's Debian packages")
        archive = fetch_packages(PACKAGES)
        key = make_signing_key()
        root = cache_dir("boot", "hub")
        flist = root / "flists" / f"{NAME}.fl"
        stamp = root / "stamp"
        identity = hub_identity(archive, key)
        if not (flist.exists() and stamp.exists() and stamp.read_text().startswith(identity)):
            say("packing the workload's root file system")
            total = pack_workload(archive, flist, root / "blocks")
            sign_flist_file(flist, key)
            write_atomic(stamp, f"{identity} {total}".encode())
        total = int(stamp.read_text().split()[1])
    return LocalHub(root, key.with_suffix(".pub"), flist, total)


def hub_identity(archive: Path, key: Path) -> str:
    """Return a digest of all inputs of the hub's flist, the packing code included."""
    facts = archive.stat()
    what = f"{archive.name} {facts.st_size} {facts.st_mtime_ns} {NAME}"
    digest = hashlib.sha256(what.encode())
    packer = sorted(Path(flist_package.__file__).parent.rglob("*.py"))
    for file in [key, Path(__file__), *sorted(OVERLAY.rglob("*.yaml")), *packer]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def pack_workload(archive: Path, flist: Path, blocks: Path) -> int:
    """Pack the tree in `archive` with the workload's services; return the size of its files."""
    flist.parent.mkdir(parents=True, exist_ok=True)
    blocks.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="zos-workload-") as folder:
        tree = Path(folder) / "root"
        tree.mkdir()
        options = ["--numeric-owner", "--preserve-permissions", "--delay-directory-restore"]
        run(["tar", "-C", tree, *options, "-xf", archive], timeout_s=EXTRACT_DEADLINE_S)
        finish_tree(tree)
        return pack(tree, flist, [parse_route(f"dir://{blocks}")]).size_bytes


def finish_tree(tree: Path) -> None:
    """Add the workload's services, and what Debian's maintainer scripts would have created."""
    shutil.copytree(OVERLAY, tree, dirs_exist_ok=True)
    for name in ("passwd", "group"):
        shutil.copyfile(tree / f"usr/share/base-passwd/{name}.master", tree / "etc" / name)
    for name in ("var/lib/redis", "var/log/redis", "proc", "sys", "dev", "run", "tmp"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "tmp").chmod(0o1777)


def sign_flist_file(flist: Path, key: Path) -> None:
    """Write the signature of `flist` beside it."""
    signature = sign_flist(flist, NAME, load_private_key(key))
    write_atomic(flist.with_suffix(".fl.sig"), signature.encode())
