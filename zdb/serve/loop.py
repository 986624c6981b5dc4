"""The loop: one thread that serves all connections.

A turn reads from every connection that has something, runs the requests, commits once, and only
then sends the replies: whoever is told that a value is kept can rely on it, and all clients of a
turn share one write, and one fdatasync if each write is to survive a power failure.
"""

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT

from zdb.commands.service import Service
from zdb.protocol import replies
from zdb.serve.connection import MAX_QUEUED, READ_BYTES, Connection, push
from zdb.serve.limits import Limits
from zdb.serve.listeners import Door

TICK_S = 1.0
ACCEPTS = 64  # of one listener in one turn
LINGER_S = 2.0
TURN_BYTES = 64 << 20  # of replies, after which the other clients wait for the next turn
HEAVY_BYTES = 4096  # that a connection holds; those with less are not counted
FULL = replies.error("Too many connections")

_READABLE = EPOLLIN | EPOLLHUP | EPOLLERR
_WAIT = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Loop:
    """Serves connections until `stop`."""

    def __init__(self, service: Service, limits: Limits) -> None:
        self.service = service
        self.limits = limits
        self.connections: dict[int, Connection] = {}
        self.watchers: dict[int, Callable[[], None]] = {}
        self.epoll = select.epoll()
        self.doors: list[Door] = []
        self.shut_until: float | None = None  # the doors, for want of descriptors
        self.behind: set[Connection] = set()  # with requests to do
        self.heavy: set[Connection] = set()
        self.now = time.monotonic()
        self.next_tick = self.now + TICK_S
        self.is_stopping = False

    def open_door(self, door: Door) -> None:
        """Accept connections from a listening socket."""
        self.doors.append(door)
        self.watch(door.listener.fileno(), lambda: self.accept(door))

    def watch(self, fd: int, act: Callable[[], None]) -> None:
        """Call `act` whenever a descriptor can be read."""
        self.watchers[fd] = act
        self.epoll.register(fd, EPOLLIN)

    def forget(self, fd: int) -> None:
        """Watch a descriptor no more."""
        del self.watchers[fd]
        self.epoll.unregister(fd)

    def stop(self) -> None:
        """End after this turn."""
        self.is_stopping = True

    def run(self) -> None:
        """Serve until `stop`; the connections are closed at the end."""
        poll, turn, stats, clock = self.epoll.poll, self.turn, self.service.stats, time.perf_counter
        try:
            while not self.is_stopping:
                events = poll(self.pause())
                began = clock()
                turn(events)
                stats.turns += 1
                stats.busy += clock() - began
        finally:
            for connection in list(self.connections.values()):
                self.close(connection)
            self.epoll.close()

    def pause(self) -> float:
        """Return how long the loop may sleep."""
        if any(not connection.queue for connection in self.behind):
            return 0.0
        ends = [self.next_tick - time.monotonic()]
        sync = self.service.store.next_sync()
        if sync is not None:
            ends.append(sync)
        wait = self.service.waiting.next_end()
        if wait is not None:
            ends.append(wait - time.monotonic())
        return max(0.0, min(ends))

    def turn(self, events: list[tuple[int, int]]) -> None:
        """Do all that is to be done now."""
        now = self.now = time.monotonic()
        service = self.service
        service.produced = 0
        active = self.catch_up() if self.behind else []
        self.read(events, active)
        if service.waiting:
            service.expire(now)
        before = time.perf_counter()
        service.commit()
        service.stats.committing += time.perf_counter() - before
        for connection in active:
            self.answer(connection)
        if service.woken:
            self.answer_woken()
        if self.heavy:
            self.lighten()
        if now >= self.next_tick:
            self.tick()
        if service.must_stop:
            self.stop()

    def catch_up(self) -> list[Connection]:
        """Run requests that were put off; return the connections that have replies."""
        ready = [connection for connection in self.behind if not connection.queue]
        active = []
        for connection in ready:
            if self.service.produced > TURN_BYTES:
                break
            self.behind.discard(connection)
            self.go_on(connection)
            active.append(connection)
        return active

    def read(self, events: list[tuple[int, int]], active: list[Connection]) -> None:
        """Read from all connections that have something; add those that have replies."""
        find, receive, service = self.connections.get, self.receive, self.service
        for fd, event in events:
            connection = find(fd)
            if connection is None:
                if fd in self.watchers:
                    self.watchers[fd]()
                continue
            if event & EPOLLOUT:
                self.drain(connection)
            if event & _READABLE and service.produced <= TURN_BYTES and receive(connection):
                active.append(connection)

    def receive(self, connection: Connection) -> bool:
        """Read once and run the requests that are whole; return whether there may be replies."""
        if connection.todo or connection.queue:
            return self.see_end(connection)
        try:
            data = connection.recv(READ_BYTES)
        except _WAIT:
            return False
        except OSError:
            self.close(connection)
            return False
        if not data:
            self.end(connection)
            return False
        connection.seen = self.now
        if connection.closes_at is not None:
            return False
        connection.is_new = False
        service = self.service
        service.stats.received += len(data)
        parser = connection.parser
        requests = parser.feed(data)
        if requests:
            done = service.run(connection, requests)
            if done < len(requests) and not connection.is_ending:
                self.put_off(connection, requests[done:])
                return True
        if parser.error is not None:
            self.refuse(connection)
        elif parser.held > HEAVY_BYTES:
            self.heavy.add(connection)
        return True

    def go_on(self, connection: Connection) -> None:
        """Run requests that were put off."""
        requests, connection.todo = connection.todo, []
        done = self.service.run(connection, requests)
        if done < len(requests) and not connection.is_ending:
            self.put_off(connection, requests[done:])
        elif connection.parser.error is not None:
            self.refuse(connection)

    def put_off(self, connection: Connection, requests: list[tuple[bytes, ...]]) -> None:
        """Keep requests for a later turn."""
        connection.todo = requests
        self.behind.add(connection)

    def refuse(self, connection: Connection) -> None:
        """Answer what is no request, and end the connection."""
        self.service.stats.failed += 1
        if not connection.is_ending:
            connection.replies.append(replies.error(connection.parser.error or ""))
            connection.is_ending = True

    def answer(self, connection: Connection) -> None:
        """Send the replies of this turn."""
        answers = connection.replies
        if connection.is_closed:
            return
        if answers:
            data = answers[0] if len(answers) == 1 else b"".join(answers)
            answers.clear()
            connection.written.clear()
            try:
                sent = 0 if connection.queue else push(connection, data)
            except OSError:
                self.close(connection)
                return
            self.service.stats.sent += sent
            if sent < len(data):
                self.queue(connection, data, sent)
        if not connection.queue:
            if connection.is_ending:
                self.linger(connection)
            elif connection.is_eof and not connection.todo:
                self.close(connection)

    def answer_woken(self) -> None:
        """Send what clients have got that did not ask just now."""
        woken, self.service.woken = self.service.woken, set()
        for client in woken:
            if isinstance(client, Connection):
                self.answer(client)

    def queue(self, connection: Connection, data: bytes, sent: int) -> None:
        """Keep what a client has not taken; it is read from no more until it has."""
        if not connection.queue:
            connection.taken = self.now
        connection.add(data, sent)
        self.heavy.add(connection)
        self.attend(connection)
        if connection.is_mirror and connection.queued > MAX_QUEUED:
            self.evict(connection)

    def drain(self, connection: Connection) -> None:
        """Send what is queued."""
        try:
            sent = connection.drain()
        except OSError:
            self.close(connection)
            return
        if sent:
            connection.taken = self.now
            self.service.stats.sent += sent
        if connection.queue:
            return
        self.attend(connection)
        if connection.todo:
            self.behind.add(connection)
        elif connection.is_ending:
            self.linger(connection)
        elif connection.is_eof:
            self.close(connection)

    def attend(self, connection: Connection) -> None:
        """Watch for the events that matter."""
        wanted = connection.wanted
        if wanted != connection.events:
            connection.events = wanted
            self.epoll.modify(connection.fd, wanted)

    # The end of connections.

    def see_end(self, connection: Connection) -> bool:
        """Close a connection that was lost while its replies wait."""
        if connection.queue and connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.close(connection)
        return False

    def end(self, connection: Connection) -> None:
        """Note that the client sends no more; what it has asked for is still done."""
        connection.is_eof = True
        if not (connection.todo or connection.queue or connection.replies):
            self.close(connection)

    def linger(self, connection: Connection) -> None:
        """Send no more, and drop what comes for a while: a hasty end may lose the last reply."""
        if connection.closes_at is not None:
            return
        connection.closes_at = self.now + LINGER_S
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close(connection)

    def close(self, connection: Connection) -> None:
        """Close a connection."""
        if connection.is_closed:
            return
        connection.is_closed = True
        self.connections.pop(connection.fd, None)
        self.behind.discard(connection)
        self.heavy.discard(connection)
        self.service.leave(connection)
        self.epoll.unregister(connection.fd)
        connection.sock.close()
        connection.queue.clear()
        connection.todo.clear()
        if self.shut_until is not None:
            self.shut_until = self.now

    def evict(self, connection: Connection) -> None:
        """Close a connection because of a limit."""
        self.service.stats.evicted += 1
        self.close(connection)

    # The beginning of connections.

    def accept(self, door: Door) -> None:
        """Take new connections."""
        for _ in range(ACCEPTS):
            try:
                sock = door.accept()
            except _WAIT:
                return
            except ConnectionError:
                continue
            except OSError as error:
                self.shut(error)
                return
            if sock is not None:
                self.admit(sock)

    def admit(self, sock: socket.socket) -> None:
        """Begin a connection; at the limit the one that is idle longest is closed for it."""
        if len(self.connections) >= self.limits.connections and not self.make_room():
            self.service.stats.refused += 1
            with contextlib.suppress(OSError):
                sock.send(FULL)
            sock.close()
            return
        connection = Connection(sock, self.now, self.service.rights())
        self.connections[connection.fd] = connection
        self.epoll.register(connection.fd, EPOLLIN)
        self.service.admit(connection)

    def make_room(self) -> bool:
        """Close the connection that is idle longest, if one is idle for long."""
        idle = (c for c in self.connections.values() if c.is_idle)
        oldest = min(idle, key=lambda c: c.seen, default=None)
        if oldest is None or self.now - oldest.seen < self.limits.spare_s:
            return False
        self.evict(oldest)
        return True

    def shut(self, error: OSError) -> None:
        """Accept nothing for a while: the process has no descriptors left."""
        self.service.log(f"cannot accept connections: {error.strerror or error}")
        for door in self.doors:
            self.epoll.modify(door.listener.fileno(), 0)
        self.shut_until = self.now + TICK_S

    # Deadlines and limits.

    def tick(self) -> None:
        """Look for what is over."""
        self.next_tick = self.now + TICK_S
        if self.shut_until is not None and self.now >= self.shut_until:
            self.shut_until = None
            for door in self.doors:
                self.epoll.modify(door.listener.fileno(), EPOLLIN)
        for connection in list(self.connections.values()):
            if self.limits.is_over(connection, self.now):
                self.evict(connection)

    def lighten(self) -> None:
        """Keep what all connections hold below the limit."""
        sizes = {connection: connection.held for connection in self.heavy}
        self.heavy = {connection for connection, size in sizes.items() if size > HEAVY_BYTES}
        total = sum(sizes.values())
        while total > self.limits.buffered:
            most = max(sizes, key=sizes.__getitem__)
            total -= sizes.pop(most)
            self.service.log(f"closed a connection that held {most.held} bytes")
            self.evict(most)
