"""The folder of service files: finding and reading them. The only module here that does I/O."""

import os
import stat

from zinit.files.nodes import ConfigError
from zinit.files.reading import parse_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.files.service import Service

SUFFIX = ".yaml"
OVERRIDE_SUFFIX = ".override"  # beside a service file: what this machine sets over it
FILE_LIMIT = 1 << 20


class Folder:
    """One folder of service files; `report` gets a line for each warning and each bad file."""

    def __init__(self, path: str, report: "Callable[[str], None]") -> None:
        self.path = path
        self.report = report
        self.refused: dict[str, str] = {}  # name -> why its file is not used
        self.on_refused: Callable[[str, str], None] = ignore_refusal

    def file_of(self, name: str) -> str:
        """Return the path of the file of service `name`."""
        return os.path.join(self.path, name + SUFFIX)

    def load(self, name: str) -> "Service":
        """Read the file of `name` and report its warnings; raises OSError or ConfigError."""
        try:
            service, warnings = self.read(name)
        except Exception as error:
            self._refuse(name, error)
            raise
        self.refused.pop(name, None)
        for warning in warnings:
            self.report(f"{self.file_of(name)}: {warning}")
        return service

    def _refuse(self, name: str, error: Exception) -> None:
        """Remember why an existing file is not used; names without a file come from clients."""
        reason = f"{self.file_of(name)}: {error}"
        if isinstance(error, OSError) and error.filename:  # it may be the override's
            reason = f"{error.filename}: {error.strerror}"
        if not is_name(name) or not os.path.lexists(self.file_of(name)):
            self.refused.pop(name, None)
        elif self.refused.get(name) != reason:
            self.refused[name] = reason
            self.on_refused(name, reason)

    def read(self, name: str) -> "tuple[Service, list[str]]":
        """Read the file of `name`; return it with its warnings. Raises OSError or ConfigError."""
        return parse_service(name, self.read_text(name), self.read_override(name))

    def read_text(self, name: str) -> str:
        """Return the text of the file of `name`; raises OSError or ConfigError.

        Log lines and protocols carry names, so a name has to be printable.
        """
        if not is_name(name):
            raise ConfigError(f"{name!r} is not a valid service name")
        return read_file(self.file_of(name))

    def read_override(self, name: str) -> str:
        """Return what this machine sets over the file of `name`, usually nothing."""
        try:
            return read_file(os.path.join(self.path, name + OVERRIDE_SUFFIX))
        except FileNotFoundError:
            return ""
        except ConfigError as error:
            raise ConfigError(f"{name}{OVERRIDE_SUFFIX}: {error}") from None

    def names(self) -> list[str]:
        """Return the names of all regular service files, sorted; symbolic links are left out."""
        with os.scandir(self.path) as entries:
            names = sorted(
                entry.name.removesuffix(SUFFIX)
                for entry in entries
                if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False)
            )
        for gone in self.refused.keys() - set(names):
            del self.refused[gone]
        return names

    def load_all(self) -> "list[Service]":
        """Read every service file; a bad one is reported and skipped."""
        services = []
        try:
            names = self.names()
        except OSError as error:
            self.report(f"cannot read {self.path}: {error.strerror}")
            return []
        for name in names:
            try:
                services.append(self.load(name))
            except (OSError, ConfigError) as error:
                self.report(f"{self.file_of(name)} is skipped: {error}")
        return services


def is_name(name: str) -> bool:
    """Return whether a service can have this name."""
    return name.isprintable() and "/" not in name and name not in ("", ".", "..")


def read_file(path: str) -> str:
    """Return the text of a regular file; raises OSError or ConfigError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError("not a regular file")
        data = os.read(fd, FILE_LIMIT + 1)
    finally:
        os.close(fd)
    if len(data) > FILE_LIMIT:
        raise ConfigError(f"longer than {FILE_LIMIT} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigError("not UTF-8") from None


def ignore_refusal(name: str, reason: str) -> None:
    """Stand in until there is a log."""
