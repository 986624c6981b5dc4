"""What a JSON-RPC connection still owes its client: batches, and replies that are deferred."""

from collections import deque

from zinit.control.deferred import LOOK_S, Deferred
from zinit.control.rpcerrors import explain
from zinit.control.rpctext import NOTIFICATION, encode, make_error, make_result
from zinit.life.unit import CommandError

REPLY_LIMIT = 10 << 20  # bytes in a batch's reply, as in upstream's library


class Batch:
    """A batch in progress: its requests, its replies so far, and how many are deferred."""

    __slots__ = ("_replies", "_size", "deferred", "requests")

    def __init__(self, requests: list[object]) -> None:
        self.requests = deque(requests)
        self.deferred = 0
        self._replies: list[bytes] = []
        self._size = 0

    @property
    def is_finished(self) -> bool:
        """Whether all replies have been added."""
        return not self.requests and not self.deferred

    def add(self, reply: "dict[str, object]") -> None:
        """Add a reply, unless the batch is already too large."""
        if self._size <= REPLY_LIMIT:
            self._replies.append(encode(reply)[:-1])
            self._size += len(self._replies[-1])

    def close(self) -> bytes:
        """Return the reply to the batch; empty if it held only notifications."""
        if self._size > REPLY_LIMIT:
            text = f"Exceeded max limit of {REPLY_LIMIT}"
            return encode(make_error(None, -32011, "The batch response was too large", text))
        return b"[" + b",".join(self._replies) + b"]\n" if self._replies else b""


class Owed:
    """One deferred reply and the request that it answers."""

    __slots__ = ("action", "batch", "name", "number", "reply")

    def __init__(
        self, reply: Deferred, number: object, action: str, name: str, batch: Batch | None
    ) -> None:
        self.reply = reply
        self.number = number
        self.action = action
        self.name = name
        self.batch = batch

    def answer(self, now: float) -> "dict[str, object] | None":
        """Return the reply if it is due."""
        try:
            due = self.reply.is_due(now)
            return make_result(self.number, self.reply.result()) if due else None
        except CommandError as error:
            refusal = explain(error, self.action, self.name)
            return make_error(self.number, refusal.code, refusal.message, refusal.data)


class OwedReplies:
    """All deferred replies of a connection, looked at together so that many cost little."""

    def __init__(self) -> None:
        self._look_at = 0.0
        self._owed: list[Owed] = []

    def __bool__(self) -> bool:
        return bool(self._owed)

    def next_time(self) -> float | None:
        """Return when `pull` must be called."""
        return self._look_at if self._owed else None

    def add(self, owed: Owed) -> None:
        """Remember a deferred reply."""
        first_look = owed.reply.first_look
        self._look_at = min(self._look_at, first_look) if self._owed else first_look
        self._owed.append(owed)
        if owed.batch is not None:
            owed.batch.deferred += 1

    def pull(self, now: float) -> "list[bytes]":
        """Return the replies that are due, and batches that these complete."""
        if now < self._look_at:
            return []
        self._look_at = now + LOOK_S
        waiting: list[Owed] = []
        sent = []
        for owed in self._owed:
            reply = owed.answer(now)
            if reply is None:
                waiting.append(owed)
            else:
                sent.append(settle(owed, reply))
        self._owed = waiting
        return sent


def settle(owed: Owed, reply: "dict[str, object]") -> bytes:
    """Return what to send for a reply: itself, or the batch that it completes."""
    is_wanted = owed.number is not NOTIFICATION
    batch = owed.batch
    if batch is None:
        return encode(reply) if is_wanted else b""
    batch.deferred -= 1
    if is_wanted:
        batch.add(reply)
    return batch.close() if batch.is_finished else b""
