"""The process that appends lines to the log files of one folder (see `zinit.log.writer`)."""

import os

from zinit.files.signals import SIGCHLD, SIGHUP, SIGINT, SIGTERM
from zinit.log.file import LogFile
from zinit.process.spawn import close_all_but

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    import socket as _socket
else:
    import _signal
    import _socket

PACKET_LIMIT = 1 << 17
TEXT_LIMIT = 4096
IGNORED_SIGNALS = (SIGHUP, SIGINT, SIGTERM)  # the process ends when its socket is closed


def fork_writer() -> "tuple[_socket.socket, int]":
    """Start a writer; return our end of its socket and its pid. Raises OSError."""
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, kind)
    try:
        pid = os.fork()
        if pid == 0:
            run_writer(theirs)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours, pid


def run_writer(sock: "_socket.socket") -> None:
    """In the child: write until the other end of the socket is closed. Never returns."""
    try:
        become_writer(sock.fileno())
        sock.setblocking(True)
        write_packets(sock)
    finally:
        os._exit(0)


def become_writer(fd: int) -> None:
    """Give up the daemon's signal handlers, session and descriptors, except `fd`."""
    _signal.set_wakeup_fd(-1)
    for number in IGNORED_SIGNALS:
        _signal.signal(number, _signal.SIG_IGN)
    _signal.signal(SIGCHLD, _signal.SIG_DFL)
    os.setsid()
    close_all_but(fd)


def write_packets(sock: "_socket.socket") -> None:
    """Append the lines of every packet to its file; without a NUL it only opens the file."""

    def report(text: str) -> None:
        try:
            sock.send(text.encode(errors="replace")[:TEXT_LIMIT], _socket.MSG_DONTWAIT)
        except OSError:
            pass  # zinit has ended or its end of the socket is full

    files: dict[bytes, LogFile] = {}  # path -> file
    while packet := sock.recv(PACKET_LIMIT):
        header, separator, text = packet.partition(b"\0")
        size, keep, path = header.split(b" ", 2)
        file = files.get(path)
        if file is None:
            file = files[path] = LogFile(os.fsdecode(path), 0, 0, report)
        file.size_bytes, file.keep = int(size), int(keep)
        file.write(text.split(b"\n") if separator else [])
