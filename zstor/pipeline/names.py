"""The name under which a file is stored: upstream's rule, so that both find each other's files."""

from pathlib import Path

from zstor.errors import ZstorError


def name_of(path: Path, root: Path | None = None, key_path: Path | None = None) -> str:
    """Return the name of a file: its path, without links, below `root` if there is one.

    With `key_path` it is that folder's path and the file's own name.
    """
    place = _real(key_path / path.name if key_path is not None else path)
    if root is None:
        return str(place)
    try:
        return str(place.relative_to(root))
    except ValueError:
        raise ZstorError(
            f"cannot store {path}: it is not below the root {root}",
            hint="the configuration's `root` says where stored files are",
        ) from None


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise ZstorError(f"cannot use {path}: {error}") from error
