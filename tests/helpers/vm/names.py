"""A name server that knows one address: every name has it."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.helpers.needs import lack, need_root

PORT = 53
MESSAGE_MAX_BYTES = 512
HEADER_BYTES = 12
# An answer with one record: the name of the question, type A, class IN, 5 s, 4 bytes (RFC 1035).
IS_ANSWER, RECORD = (
    b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00",
    bytes.fromhex("c00c00010001000000050004"),
)
TYPE_A = b"\x00\x01"


@contextlib.contextmanager
def name_server(address: str) -> Iterator[None]:
    """Answer all questions on this host's loopback, which a machine reaches at 10.0.2.2."""
    need_root()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", PORT))
        except OSError as error:
            lack(f"port {PORT} of 127.0.0.1 can't be taken: {error.strerror}")
        is_over = threading.Event()
        sock.settimeout(0.2)
        thread = threading.Thread(target=serve, args=(sock, address, is_over))
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


def serve(sock: socket.socket, address: str, is_over: threading.Event) -> None:
    """Answer until it is over."""
    while not is_over.is_set():
        with contextlib.suppress(TimeoutError):
            data, peer = sock.recvfrom(MESSAGE_MAX_BYTES)
            sock.sendto(answer(data, address), peer)


def answer(data: bytes, address: str) -> bytes:
    """Return the answer to a question; there is none for another type than A."""
    end = data.index(b"\0", HEADER_BYTES) + 5
    question = data[HEADER_BYTES:end]
    if question[-4:-2] != TYPE_A:
        return data[:2] + b"\x81\x80\x00\x01" + bytes(6) + question
    return data[:2] + IS_ANSWER + question + RECORD + socket.inet_aton(address)
