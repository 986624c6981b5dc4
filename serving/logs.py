"""Structured logs on stderr: one JSON object per line, or coloured text on a terminal.

Every line has `time` (ISO 8601, UTC), `level` and `event`. What is bound with
`structlog.contextvars` (the request id) is on every line that is logged meanwhile, also on those of
Python's `logging`.
"""

import contextlib
import logging
import os
import queue
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self, TextIO

import structlog

LEVELS = {name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error")}
REPEAT_S = 10.0
QUEUE_LINES = 10_000
FLUSH_S = 1.0
SHARED: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.format_exc_info,
)


def order_fields(
    _logger: object, _method: str, fields: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Return the fields with those that every line has in front."""
    first = {key: fields.pop(key) for key in ("time", "level", "event") if key in fields}
    return {**first, **fields}


class Sink:
    """Writes lines to a stream; a log that cannot be written does not fail a request."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """Write one line."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(text + "\n")
            self.stream.flush()

    def debug(self, text: str) -> None:
        """Take one line; structlog calls the method that is named like the level."""
        self.write(text)

    info = warning = error = msg = debug


class HastySink(Sink):
    """Drops what the stream does not take at once: for a process that has no threads."""

    def debug(self, text: str) -> None:
        """Take one line."""
        with contextlib.suppress(OSError, ValueError):
            poll = select.poll()
            poll.register(self.stream, select.POLLOUT)
            if poll.poll(0):
                self.write(text)

    info = warning = error = msg = debug


class QueuedSink(Sink):
    """Writes from a thread of its own, so that a reader that stalls does not stall the server.

    At most `QUEUE_LINES` wait; further lines are dropped and counted.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.dropped = 0
        self.lines: queue.Queue[str | None] = queue.Queue(QUEUE_LINES)
        self.thread = threading.Thread(target=self.write_all, name="log", daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what waits, as far as that takes no longer than `FLUSH_S`."""
        with contextlib.suppress(queue.Full):
            self.lines.put(None, timeout=FLUSH_S)
            self.thread.join(FLUSH_S)

    def write(self, text: str) -> None:
        """Write one line. The stream's own lock is left alone: the process must be able to exit."""
        try:
            number = self.stream.fileno()
        except (OSError, ValueError):
            return super().write(text)
        data = f"{text}\n".encode(errors="backslashreplace")
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(number, data) :]
        return None

    def write_all(self) -> None:
        """Write lines until the end is announced."""
        while (text := self.lines.get()) is not None:
            self.write(text)

    def debug(self, text: str) -> None:
        """Take one line, without waiting."""
        try:
            self.lines.put_nowait(text)
        except queue.Full:
            self.dropped += 1

    info = warning = error = msg = debug


def make_logger(level: str, log_format: str, sink: Sink) -> Any:
    """Return a logger of its own, which depends on no global configuration.

    `log_format` is json, text, or auto: text when the sink is a terminal.
    """
    processors = [*SHARED, order_fields, choose_renderer(log_format, sink.stream)]
    return structlog.wrap_logger(
        sink,
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )


def make_silent_logger() -> Any:
    """Return a logger that drops everything, for an application that no server runs."""

    def drop(*_: object) -> Any:
        raise structlog.DropEvent

    return structlog.wrap_logger(None, processors=[drop])


def choose_renderer(log_format: str, stream: TextIO) -> structlog.typing.Processor:
    """Return what turns a line's fields into text."""
    if log_format == "text" or (log_format == "auto" and stream.isatty()):
        return structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time")
    return structlog.processors.JSONRenderer(default=str)


class Forward(logging.Handler):
    """Hands the records of Python's `logging` to a structured logger."""

    def __init__(self, log: Any) -> None:
        super().__init__()
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record."""
        level = max(name for name in LEVELS.values() if name <= max(record.levelno, logging.DEBUG))
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        self.log.log(level, record.getMessage(), **fields)


@contextlib.contextmanager
def forwarded(log: Any, level: str) -> Iterator[None]:
    """Send what `logging` gets to `log` until the block ends; uvicorn and asyncio use it."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = [Forward(log)]
    # Libraries tell on "info" what this kit's own lines already tell.
    root.setLevel(max(LEVELS[level], logging.WARNING))
    try:
        yield
    finally:
        root.handlers[:], root.level = before


class Throttle:
    """Lets an event through once in `REPEAT_S` seconds and counts those it held back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.last: dict[str, float] = {}
        self.held: dict[str, int] = {}

    def take(self, event: str) -> int | None:
        """Return how many were held back since the last one let through; None: hold this back."""
        now = self.clock()
        if now - self.last.get(event, -REPEAT_S) < REPEAT_S:
            self.held[event] = self.held.get(event, 0) + 1
            return None
        self.last[event] = now
        return self.held.pop(event, 0)
