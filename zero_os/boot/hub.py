"""Makes the hub of `zos boot`: a Debian root file system with Redis, packed and signed."""

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import flist as flist_package
from common.debian.fetch import fetch_packages
from common.files import write_atomic
from common.locks import hold_lock
from common.paths import cache_dir
from common.run import run
from common.scratch import scratch
from common.sealed import sealed_digest
from flist.blocks.codec import check_arrival
from flist.errors import BlockError
from flist.format.signing.keys import generate_key, load_private_key, public_text
from flist.format.signing.sign import sign_flist
from flist.pack.pack import pack
from flist.store.routed import parse_route
from zero_os.boot.places import checkout_dir, link_files

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
BLOCK_NAME = re.compile(r"[0-9a-f]{64}")


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
    with hold_lock(folder / "lock", "making the signing key", LOCK_DEADLINE_S):
        if not private.exists():
            generate_key(private)
        text = f"{public_text(load_private_key(private))}\n"
        write_atomic(folder / "flist.pub", text.encode())
    return private


def prepare_hub(say: Callable[[str], None], run_folder: Path | None = None) -> LocalHub:
    """Return the hub; pack the workload again if an input has changed or the result is damaged.

    With `run_folder`, the hub is in that folder, and keeps its flist whatever other runs do.
    """
    with hold_lock(checkout_dir() / "hub.lock", "preparing the hub", LOCK_DEADLINE_S, say):
        say("checking the workload's Debian packages")
        archive = fetch_packages(PACKAGES)
        key = make_signing_key()
        root = checkout_dir("hub")
        flist = root / "flists" / f"{NAME}.fl"
        stamp = root / "stamp"
        identity = hub_identity(archive, key)
        total = packed_bytes(stamp, identity, flist)
        is_intact = are_blocks_intact(root / "blocks")
        if total is None or not is_intact:
            say("packing the workload's root file system")
            total = pack_workload(archive, flist, root / "blocks")
            sign_flist_file(flist, key)
            write_atomic(stamp, f"{identity} {file_digest(flist)} {total}".encode())
        if run_folder:
            link_files(flist.parent, run_folder / "flists" / Path(NAME).parent)
            (run_folder / "blocks").symlink_to(root / "blocks")
            root = run_folder
    return LocalHub(root, key.with_suffix(".pub"), root / "flists" / f"{NAME}.fl", total)


def packed_bytes(stamp: Path, identity: str, flist: Path) -> int | None:
    """Return the size of the flist's files; None unless it is the undamaged one of `identity`."""
    try:
        known, content, total = stamp.read_text().split()
        is_same = (known, content) == (identity, file_digest(flist))
        return int(total) if is_same else None
    except (OSError, ValueError):
        return None


def are_blocks_intact(blocks: Path) -> bool:
    """Remove damaged blocks; return whether there were none."""
    count = 0
    for path in blocks.glob("*/*"):
        if not BLOCK_NAME.fullmatch(path.name):
            continue
        try:
            check_arrival(bytes.fromhex(path.name), path.read_bytes())
        except BlockError:
            path.unlink()
            count += 1
    return count == 0


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hub_identity(archive: Path, key: Path) -> str:
    """Return a digest of all inputs of the hub's flist, the packing code included."""
    what = f"{archive.name} {sealed_digest(archive)} {NAME}"
    digest = hashlib.sha256(what.encode())
    packer = sorted(Path(flist_package.__file__).parent.rglob("*.py"))
    for file in [key, Path(__file__), *sorted(OVERLAY.rglob("*.yaml")), *packer]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def pack_workload(archive: Path, flist: Path, blocks: Path) -> int:
    """Pack the tree in `archive` with the workload's services; return the size of its files."""
    flist.parent.mkdir(parents=True, exist_ok=True)
    blocks.mkdir(parents=True, exist_ok=True)
    with scratch("workload") as folder:
        tree = folder / "root"
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
    folders = ("var/lib/dpkg", "var/lib/redis", "var/log/redis", "proc", "sys", "dev", "run", "tmp")
    for name in folders:
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "var/lib/dpkg/status").touch()
    (tree / "tmp").chmod(0o1777)


def sign_flist_file(flist: Path, key: Path, name: str = NAME) -> None:
    """Write the signature of `flist`, which the hub has as `name`, beside it."""
    signature = sign_flist(flist, name, load_private_key(key))
    write_atomic(flist.with_suffix(".fl.sig"), signature.encode())
