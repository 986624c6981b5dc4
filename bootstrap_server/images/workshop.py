"""Where templates are built: unpacked inputs, their tools, and the steps that builders share."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootstrap_server.errors import TemplateError
from bootstrap_server.images import inputs
from common.run import run
from common.scratch import scratch

BUILD_DEADLINE_S = 60
EPOCH_S = 1746057600  # 2025-05-01, the date of every file in an image
# The SHA-256 of the "iPXE root CA", which an iPXE trusts that was built without others.
IPXE_ROOT = bytes.fromhex("9faf717b7f8ca2f93c256c79f8ac5591895d66d1ff3bee6397a70d29c65eed1a")


@dataclass(frozen=True, slots=True)
class Workshop:
    """A private folder, the files of packages in `tree`, and the environment that finds tools."""

    folder: Path
    tree: Path
    env: Mapping[str, str]

    def run(self, *words: str | Path, timeout_s: float = BUILD_DEADLINE_S) -> None:
        """Run a tool."""
        run(list(words), timeout_s=timeout_s, env=self.env)

    def write(self, name: str, content: bytes | str) -> Path:
        """Write a file of this folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def read(self, name: str) -> bytes:
        """Return the content of a package's file."""
        return (self.tree / name).read_bytes()

    def fill_fat(self, image: Path, files: Mapping[str, Path]) -> None:
        """Copy files into a FAT file system, in this order on the disk."""
        parents = {str(p): None for name in files for p in reversed(Path(name).parents)}
        folders = [f"::/{parent}" for parent in parents if parent != "."]
        if folders:
            self.run("mmd", "-i", image, *folders)
        for name, source in files.items():
            self.run("mcopy", "-i", image, source, f"::/{name}")

    def make_grub(self, name: str, config: str, modules: Iterable[str], *options: str) -> Path:
        """Return a GRUB for UEFI with these modules, which begins with `config`."""
        output, start = self.folder / name, self.write(f"{name}.cfg", config)
        target = ["-O", "x86_64-efi", "-d", str(self.tree / inputs.GRUB), "-o", str(output)]
        self.run("grub-mkimage", *target, "-c", start, *options, *sorted(modules))
        return output


@contextmanager
def open_workshop(archives: Iterable[Path], root: bytes = b"") -> Iterator[Workshop]:
    """Unpack archives of packages; all is removed at the end.

    With `root`, UEFI's iPXE trusts the certificate that has this SHA-256, and no other.
    """
    with scratch("template") as folder:
        tree = folder / "tree"
        inputs.unpack_inputs(archives, tree)
        for name in inputs.UEFI_PROGRAMS if root else ():
            path = tree / name
            path.write_bytes(replace_root(path.read_bytes(), root))
        tools = inputs.make_tools(tree, folder / "bin")
        yield Workshop(folder, tree, {**tools, "SOURCE_DATE_EPOCH": str(EPOCH_S)})


def replace_root(program: bytes, root: bytes) -> bytes:
    """Return an iPXE that trusts another root: an uncompressed one has its fingerprint as it is."""
    if program.count(IPXE_ROOT) != 1 or len(root) != len(IPXE_ROOT):
        raise TemplateError("this iPXE does not have the fingerprint of its root in one place")
    return program.replace(IPXE_ROOT, root)
