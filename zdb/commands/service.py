"""Runs the requests of clients against a store."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from zdb.commands.client import Client
from zdb.commands.command import Command
from zdb.commands.waiting import Waiting
from zdb.errors import DamagedError, RefusedError, WriteError, ZdbError
from zdb.protocol import replies
from zdb.protocol.requests import Request
from zdb.storage.namespace import Namespace
from zdb.storage.store import Store
from zdb.values import DEFAULT

GONE = replies.error("Your active namespace is not available anymore (probably removed).")
TIMEOUT = replies.error("Timeout")
UNKNOWN = replies.error("Command not supported")
NO_OWNER = replies.error("Missing arguments")
DAMAGED = replies.error("Data is damaged on the disk")
UNREADABLE = replies.error("Cannot read data right now")
FULL_BYTES = 1 << 20
"""Bytes of replies after which a client's further requests wait for the next turn."""
SECRET = frozenset((b"AUTH", b"SELECT", b"REPLICA"))
"""They hold passwords, or what only a replica needs; no mirror is sent them."""


@dataclass(frozen=True)
class Rules:
    """What the operator has decided about clients."""

    admin: bytes = b""  # password; empty: every client is an administrator
    is_protected: bool = False  # the default namespace wants that password for changes
    is_debug: bool = False  # STOP and KSCAN are there
    instance: int = 1  # the owner of this server's requests, for mirrors


@dataclass
class Stats:
    """Counts since the start."""

    started: float = field(default_factory=time.time)
    clients: int = 0
    executed: int = 0
    failed: int = 0
    unauthorized: int = 0
    read_errors: int = 0
    received: int = 0
    sent: int = 0
    turns: int = 0
    busy: float = 0.0  # seconds
    committing: float = 0.0  # seconds, of those
    refused: int = 0  # connections over a limit
    evicted: int = 0  # connections closed because of a limit or a deadline


class Hooks:
    """The operator's program for events; here nobody listens."""

    def fire(self, name: str, *arguments: str) -> None:
        """Tell of an event."""

    def listing(self) -> list[bytes]:
        """Return the latest calls, each as a reply."""
        return []


class Role:
    """What the server is among others: here, one of its own."""

    def status(self) -> list[str]:
        """Return what REPLICA STATUS says, a text for each line."""
        return ["role: master"]

    def promote(self) -> None:
        """Follow no master any more."""
        raise RefusedError("This server is not a replica")


class Service:
    """A store, and the clients that use it."""

    def __init__(
        self,
        store: Store,
        rules: Rules,
        table: dict[bytes, Command],
        log: Callable[[str], None],
        hooks: Hooks | None = None,
    ) -> None:
        self.store = store
        self.rules = rules
        self.table = table
        self.log = log
        self.hooks = hooks or Hooks()
        self.role = Role()
        self.stats = Stats()
        self.clients: set[Client] = set()
        self.waiting = Waiting()
        self.mirrors: list[Client] = []
        self.woken: set[Client] = set()  # with replies that are no answer to their own requests
        self.produced = 0  # bytes of replies in this turn
        self.must_stop = False

    def admit(self, client: Client) -> None:
        """Take note of a new client."""
        self.stats.clients += 1
        self.clients.add(client)

    def rights(self) -> tuple[Namespace, bool, bool]:
        """Return where a new client is, whether it is an administrator and may write there."""
        default = self.store.namespaces[DEFAULT]
        return default, not self.rules.admin, not self.rules.is_protected

    def leave(self, client: Client) -> None:
        """Forget a client."""
        self.clients.discard(client)
        self.woken.discard(client)
        self.waiting.drop(client)
        if client.is_mirror:
            self.mirrors.remove(client)

    def detach(self, namespace: Namespace) -> None:
        """Take a namespace that is deleted from its clients; their next request tells them."""
        for client in self.clients:
            if client.namespace is namespace:
                client.namespace = None
                self.waiting.drop(client)

    def run(self, client: Client, requests: list[Request]) -> int:
        """Run requests in order; return how many, fewer if the client is to take replies first."""
        answers, table, size, count = client.replies, self.table, 0, 0
        for request in requests:
            count += 1
            if client.is_master:
                request = take_owner(client, request)
            command = table.get(request[0]) if request else None
            if command is None:
                command = self.find(client, request)
                if command is None:
                    continue
            if client.namespace is None:
                answers.append(GONE)
                client.is_ending = True
                break
            command.calls += 1
            try:
                if command.low <= len(request) <= command.high and (
                    client.is_admin or not command.is_admin
                ):
                    reply = command.run(self, client, request)
                else:
                    reply = self.refuse(command, request)
            except (ZdbError, OSError) as error:
                reply = self.explain(command, error)
            if reply is not None:
                answers.append(reply)
                size += len(reply)
            if self.waiting or self.mirrors:
                self.tell_others(client, command, request)
            if size > FULL_BYTES or client.is_ending:
                break
        self.stats.executed += count
        self.produced += size
        return count

    def find(self, client: Client, request: Request) -> Command | None:
        """Return the command of a name in other letters; answer None itself."""
        command = self.table.get(request[0].upper()) if request else None
        if command is None:
            self.stats.failed += 1
            client.replies.append(UNKNOWN if request else NO_OWNER)
        return command

    def refuse(self, command: Command, request: Request) -> bytes:
        """Return the reply to a request with too many or too few words, or without the right."""
        if not command.low <= len(request) <= command.high:
            self.stats.failed += 1
            return replies.error(command.refusal)
        self.stats.unauthorized += 1
        return replies.error("Permission denied")

    def explain(self, command: Command, error: ZdbError | OSError) -> bytes:
        """Return the reply to a request that has failed."""
        if isinstance(error, RefusedError):
            self.stats.failed += 1
            return replies.error(error.message)
        self.stats.read_errors += 1
        if isinstance(error, DamagedError):
            self.log(error.message)
            return DAMAGED
        self.log(f"cannot run {command.name.decode()}: {error}")
        return UNREADABLE

    def commit(self) -> None:
        """Put all changes on the disk; the clients whose changes failed are told."""
        failed = self.store.commit()
        if failed:
            refusal = replies.error(WriteError().message)
            for client in self.clients:
                for at, namespace in client.written:
                    if namespace in failed:
                        client.replies[at] = refusal
                        self.stats.failed += 1

    def settle(self) -> None:
        """Commit before the end of the turn: what comes next must not be mixed with it."""
        self.commit()
        for client in self.clients:
            client.written.clear()

    def push(self, client: Client, reply: bytes) -> None:
        """Send a client what it has not asked for just now."""
        client.replies.append(reply)
        self.woken.add(client)

    def expire(self, now: float) -> None:
        """End the waits whose time is over."""
        for client in self.waiting.expire(now):
            self.push(client, TIMEOUT)

    def tell_others(self, client: Client, command: Command, request: Request) -> None:
        """Wake who waits for this command, and send it to the mirrors."""
        for other in self.waiting.wake(client, command.name):
            self.push(other, b"+%b\r\n" % command.name)
        owner = client.owner if client.is_master else self.rules.instance
        if not self.mirrors or not owner or command.name in SECRET:
            return
        frame = mirrored(client, owner, request)
        for other in self.mirrors:
            if other is not client:
                self.push(other, frame)


def take_owner(client: Client, request: Request) -> Request:
    """Return a master's request without its last argument, the owner; empty if it has none."""
    owner = request[-1]
    is_number = owner.isdigit() and len(owner) <= 10
    if len(request) < 2 or not is_number:
        return ()
    client.owner = int(owner)
    return request[:-1]


def mirrored(client: Client, owner: int, request: Request) -> bytes:
    """Return a request as mirrors are sent it: time, namespace, owner, and its arguments.

    Source: `redis_mirror_client` in `zdbd/redis.c` of threefoldtech/0-db 2.0.7.
    """
    name = client.namespace.name if client.namespace else ""
    head = (replies.number(int(time.time())), replies.text(name), replies.number(owner))
    return replies.array((*head, *map(replies.bulk, request)))
