"""Opens log files, in folders that services' users may own and fill with anything.

zinit writes as root what a service says. Nothing that the user of a service can make may lead those
lines into a file of somebody else: not a link, a hard link, a FIFO or a device.
"""

import os
import stat

LOOK = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
LINK_LIMIT = 40
ELOOP = 40
EPERM = 1
ENOTDIR = 20


def open_folder(path: str) -> int:
    """Return a handle of the folder `path`, made if it is missing; raises OSError.

    A link is followed if it and the folder it is in belong to root or to zinit's own user.
    """
    trusted = find_trusted()
    names = split(path)
    links = 0
    fd = os.open("/", LOOK | os.O_DIRECTORY)
    try:
        while names:
            below = open_or_make(names.pop(), fd)
            mode = os.fstat(below).st_mode
            if stat.S_ISDIR(mode):
                os.close(fd)
                fd = below
                continue
            try:
                target = read_link(below, fd, trusted) if stat.S_ISLNK(mode) else ""
            finally:
                os.close(below)
            links += 1
            if not target or links > LINK_LIMIT:
                number = ELOOP if target else ENOTDIR
                raise OSError(number, os.strerror(number), path)
            if target.startswith("/"):
                os.close(fd)
                fd = -1
                fd = os.open("/", LOOK | os.O_DIRECTORY)
            names += split(target)
    except BaseException:
        if fd >= 0:
            os.close(fd)
        raise
    return fd


def open_file(name: str, folder: int, mode: int) -> int:
    """Open the file `name` in `folder` for appending, made if it is missing; raises OSError."""
    fd = os.open(name, APPEND | os.O_NOFOLLOW, mode, dir_fd=folder)
    try:
        check_file(os.fstat(fd), os.fstat(folder))
    except OSError:
        os.close(fd)
        raise
    return fd


def check_file(file: os.stat_result, folder: os.stat_result) -> None:
    """Raise OSError for a file that somebody may have put into `folder` for us to fill."""
    if not stat.S_ISREG(file.st_mode):
        raise OSError(EPERM, "not a regular file")
    trusted = find_trusted()
    if folder.st_uid in trusted and not folder.st_mode & stat.S_IWOTH:
        return
    if file.st_nlink > 1:
        raise OSError(EPERM, "it has several names, in a folder that others can write")
    if file.st_uid not in (*trusted, folder.st_uid):
        raise OSError(EPERM, "somebody else owns it")


def find_trusted() -> tuple[int, ...]:
    """Return the users whose links are followed; in a user namespace root may have another id."""
    return 0, os.geteuid(), os.stat("/").st_uid


def split(path: str) -> list[str]:
    """Return the names in a path, the last one first."""
    return [name for name in path.split("/") if name not in ("", ".")][::-1]


def open_or_make(name: str, folder: int) -> int:
    """Return a handle of `name`, which is made a folder if it is missing."""
    try:
        return os.open(name, LOOK, dir_fd=folder)
    except FileNotFoundError:
        try:
            os.mkdir(name, dir_fd=folder)
        except FileExistsError:
            pass  # somebody else made it meanwhile
        return os.open(name, LOOK, dir_fd=folder)


def read_link(link: int, folder: int, trusted: tuple[int, ...]) -> str:
    """Return where a link leads; raises OSError if it must not be followed."""
    for fd in (link, folder):
        if os.fstat(fd).st_uid not in trusted:
            raise OSError(ELOOP, "a link on the way to it does not belong to root")
    return os.readlink("", dir_fd=link)
