"""The service folder: reading it at boot, checking it offline, and following its changes."""

import os
import stat

from zinit.files.nodes import ConfigError
from zinit.files.service import parse_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.files.service import Service

SUFFIX = ".yaml"
FILE_LIMIT = 1 << 20


class Folder:
    """One folder of service files."""

    def __init__(self, path: str, report: "Callable[[str], None]") -> None:
        self.path = path
        self.report = report

    def file_of(self, name: str) -> str:
        """Return the path of a service's file."""
        return os.path.join(self.path, name + SUFFIX)

    def load(self, name: str) -> "Service":
        """Read the file of `name`; warnings are told. Raises OSError or ConfigError."""
        service, warnings = self.read(name)
        for warning in warnings:
            self.report(f"{self.file_of(name)}: {warning}")
        return service

    def read(self, name: str) -> "tuple[Service, list[str]]":
        """Return the service called `name` and warnings."""
        return parse_service(name, self.read_text(name))

    def read_text(self, name: str) -> str:
        """Return what the file of `name` holds; raises OSError or ConfigError.

        Log lines and protocols carry names: one that can't be printed is none.
        """
        if not name.isprintable() or "/" in name or name in ("", ".", ".."):
            raise ConfigError(f"{name!r} is no service name")
        fd = os.open(self.file_of(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
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

    def names(self) -> list[str]:
        """Return the names of all service files, sorted; symbolic links are not for boot."""
        with os.scandir(self.path) as entries:
            return sorted(
                entry.name.removesuffix(SUFFIX)
                for entry in entries
                if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False)
            )

    def load_all(self) -> "list[Service]":
        """Return every service there is; a bad file is told and left out."""
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
                self.report(f"{self.file_of(name)} is left out: {error}")
        return services
