"""A rotated log file: `web.log`, then `web.log.1`, `web.log.2` and so on.

When the file was removed or renamed, by logrotate for example, the next write begins a new one.
"""

import os

from zinit.log.safe import open_file, open_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MODE = 0o640


class LogFile:
    """Appends lines; lines that cannot be written are lost, and that is reported once."""

    def __init__(
        self, path: str, size_bytes: int, keep: int, report: "Callable[[str], None]"
    ) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self.keep = keep
        self._report = report
        self._fd = -1
        self._folder = -1
        self._used = 0
        self._is_failing = False

    def write(self, lines: list[bytes]) -> None:
        """Append lines; a file holds at most `size_bytes`, or one longer line."""
        try:
            self._follow()
            data = b""
            for line in lines:
                if self._used + len(data) + len(line) + 1 > self.size_bytes:
                    self._append(data)
                    data = b""
                    if self._used:
                        self._rotate()
                data += line + b"\n"
            self._append(data)
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                self._report(f"cannot write {self.path}: {error.strerror}; lines are lost")
            self._is_failing = True

    def _follow(self) -> None:
        """Open the file that has the path now, unless it is open."""
        if self._fd >= 0:
            try:
                there = os.stat(self.path, follow_symlinks=False)
            except OSError:
                self.close()
            else:
                self._used = there.st_size  # it may have been truncated
                if not os.path.samestat(there, os.fstat(self._fd)):
                    self.close()
        if self._fd < 0:
            self._open()

    def _append(self, data: bytes) -> None:
        while data:  # a full disk takes part of it, then fails
            count = os.write(self._fd, data)
            self._used += count
            data = data[count:]

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        for fd in (self._fd, self._folder):
            if fd >= 0:
                os.close(fd)
        self._fd = self._folder = -1

    def _open(self) -> None:
        folder, _, name = self.path.rpartition("/")
        if self._folder < 0:
            self._folder = open_folder(folder)
        self._fd = open_file(name, self._folder, MODE)
        self._used = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        """Rename every file to the next number, drop the last, begin a new one."""
        folder, name = self._folder, self.path.rpartition("/")[2]
        os.close(self._fd)
        self._fd = -1
        for number in range(self.keep - 1, 0, -1):
            try:
                move(f"{name}.{number}", f"{name}.{number + 1}", folder)
            except FileNotFoundError:
                pass
        if self.keep:
            move(name, f"{name}.1", folder)
        else:
            os.unlink(name, dir_fd=folder)
        self._open()


def move(old: str, new: str, folder: int) -> None:
    """Rename a file within `folder`."""
    os.replace(old, new, src_dir_fd=folder, dst_dir_fd=folder)
