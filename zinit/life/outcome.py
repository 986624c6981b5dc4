"""The outcome of a service: how far its last start came, or how it ended.

Logic compares kinds. Clients see text, in upstream's words where upstream has the same outcome;
this module is the only one that knows these words.
"""

from zinit.files.signals import name_signal

UNKNOWN = "unknown"  # never started
BLOCKED = "blocked"  # waiting for dependencies
SPAWNED = "spawned"  # not yet ready
UNTESTED = "untested"  # likewise, and its readiness test cannot be run
RUNNING = "running"
UNSPAWNED = "unspawned"  # its process could not be started
SUCCEEDED = "succeeded"
FAILED = "failed"
CRASHED = "crashed"  # failed more often than its restart limit allows
FAILURES = (UNSPAWNED, FAILED, CRASHED)

WORDS = {
    UNKNOWN: "Unknown",
    BLOCKED: "Blocked",
    SPAWNED: "Spawned",
    UNTESTED: "TestFailure",
    RUNNING: "Running",
    UNSPAWNED: "Failure",
    SUCCEEDED: "Success",
    FAILED: "Error",
    CRASHED: "Crashed",
}
KINDS = {word: kind for kind, word in WORDS.items()}


class Outcome:
    """A kind and, where the kind alone does not tell the reason, a detail. Never changed."""

    __slots__ = ("detail", "kind")

    def __init__(self, kind: str, detail: str = "") -> None:
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        word = WORDS[self.kind]
        return f"{word}({self.detail})" if self.detail else word


def parse_outcome(text: str) -> Outcome:
    """Return the outcome that `text` shows; UNKNOWN if this version does not know its word."""
    word, _, rest = text.partition("(")
    kind = KINDS.get(word)
    return Outcome(kind, rest.removesuffix(")")) if kind else Outcome(UNKNOWN)


def describe_end(pid: int, status: int, fault: str) -> Outcome:
    """Return how a process ended: `status` is its wait status, `fault` why zinit stopped it."""
    number = status & 0x7F
    if number:
        core = "true" if status & 0x80 else "false"
        return Outcome(FAILED, f"Signaled(Pid({pid}), {name_signal(number)}, {core})")
    code = status >> 8
    if code:
        return Outcome(FAILED, f"Exited(Pid({pid}), {code})")
    return Outcome(FAILED, fault) if fault else Outcome(SUCCEEDED)


def describe_crash(count: int, window_s: float, reason: str) -> Outcome:
    """Return the outcome of a service that ended for `reason` after `count` restarts."""
    return Outcome(CRASHED, f"{count} restarts in {window_s:g} s, then {reason}")
