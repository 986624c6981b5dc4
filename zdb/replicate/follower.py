"""Following a master: in a thread, which asks the master, and lets the loop's thread write.

A round asks how far the master is, makes the namespaces here the same, and copies what is missing,
a chunk of each namespace in turn. Where to go on is read from the disk each time, so it does not
matter when either side was stopped.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from zdb.errors import DamagedError, ZdbError
from zdb.format.data import HEADER
from zdb.replicate.bridge import Bridge
from zdb.replicate.master import Master, MasterError
from zdb.storage import copying, incarnation, replica
from zdb.storage.copying import BEGINNING, MAX_CHUNK, State
from zdb.storage.namespace import Namespace
from zdb.storage.replica import Origin
from zdb.storage.store import Store
from zdb.values import DEFAULT

CHUNK = 1 << 18
COPY_S = 1.0  # until the master is asked again which namespaces there are
FIRST_WAIT_S, MAX_WAIT_S = 0.2, 5.0


@dataclass
class Progress:
    """How far a replica is; written by its thread, read by others."""

    is_connected: bool = False
    behind: int = 0  # bytes of data that the master is known to have and this server has not
    synced_at: float = field(default_factory=time.monotonic)  # when it had all
    copied: int = 0  # bytes since the start
    failures: int = 0
    error: str = ""
    diverged: set[str] = field(default_factory=set)

    @property
    def lag_s(self) -> float:
        """Return for how long something has been missing, or the master silent."""
        is_level = self.is_connected and not self.behind and not self.diverged
        return 0.0 if is_level else time.monotonic() - self.synced_at


class Follower:
    """Copies a master into a store until it is stopped."""

    def __init__(
        self,
        store: Store,
        master: Callable[[], Master],
        bridge: Bridge,
        poll_s: float,
        may_discard: bool,
        detach: Callable[[Namespace], None],
    ) -> None:
        self.store = store
        self.progress = Progress()
        self._make = master
        self._bridge = bridge
        self._poll_s = poll_s
        self._may_discard = may_discard
        self._detach = detach
        self._stop = threading.Event()
        self._left: set[str] = set()  # of which the log has told already
        self._master: Master | None = None
        self._thread = threading.Thread(target=self._run, name="replica", daemon=True)
        self._log = store.settings.log

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; nothing is written after that."""
        self._stop.set()
        master = self._master
        if master is not None:
            master.close()
        self._bridge.close()
        self._thread.join()

    def _run(self) -> None:
        wait = FIRST_WAIT_S
        while not self._stop.is_set():
            try:
                with self._make() as self._master:
                    self.progress.is_connected = True
                    self._follow(self._master)
                wait = FIRST_WAIT_S
            except (ZdbError, OSError) as error:
                self._tell(error)
            finally:
                self.progress.is_connected = False
            self._stop.wait(wait)
            wait = min(MAX_WAIT_S, 2 * wait)

    def _tell(self, error: Exception) -> None:
        """Log an error, once if it comes again and again."""
        self.progress.failures += 1
        if str(error) != self.progress.error and not self._stop.is_set():
            self.progress.error = str(error)
            self._log(f"replica: {error}")

    def _follow(self, master: Master) -> None:
        token = ""
        while not self._stop.is_set():
            found = master.state(token)
            if found is not None:
                token, states = found
                self._bridge.run(lambda: self._agree(states))  # noqa: B023
                if not self._copy(master, states):
                    token = ""
            if not self.progress.diverged:
                self.progress.synced_at = time.monotonic()
                self.progress.error = ""
            self._stop.wait(self._poll_s)

    def _agree(self, states: list[State]) -> None:
        """Make the namespaces, and their settings, those of the master; in the loop's thread."""
        self._claim(states)
        wanted = {state.name: state for state in states}
        for name in set(self.store.namespaces) - set(wanted) - {DEFAULT}:
            self._detach(self.store.namespaces[name])
            self.store.delete(name)
        for state in states:
            self._agree_on(state)

    def _claim(self, states: list[State]) -> None:
        """Mark the folder as this master's; raise if it has data of its own, or of another one."""
        default = next((state for state in states if state.name == DEFAULT), None)
        if default is None:
            raise MasterError("the master has no namespace default")
        index, origin = self.store.index, replica.read(self.store.index)
        wanted = Origin(str(self._master), default.incarnation)
        is_empty = all(space.is_fresh for space in self.store.namespaces.values())
        is_known = origin is not None and origin.incarnation == wanted.incarnation
        if not (is_known or is_empty or self._may_discard):
            raise ZdbError(
                f"cannot follow {self._master}: {index.parent} has data that is not from there",
                hint="use an empty folder, or --resync true to throw that data away",
            )
        if origin != wanted:
            replica.write(index, wanted)

    def _agree_on(self, state: State) -> None:
        """Make a namespace as it is at the master, but for its data."""
        namespace = self.store.namespaces.get(state.name) or self.store.create(state.name)
        if namespace.incarnation != state.incarnation:
            if not namespace.is_fresh:
                self._log(f"replica: namespace {state.name} was emptied at the master, so here")
                self.store.flush(state.name)
            namespace.incarnation = incarnation.write(namespace.index.folder, state.incarnation)
        if namespace.mode != state.mode:
            self.store.set_mode(state.name, state.mode)
            namespace.incarnation = incarnation.write(namespace.index.folder, state.incarnation)
        if namespace.descriptor != state.descriptor and state.name != DEFAULT:
            wanted = state.descriptor
            namespace.change(
                password=wanted.password,
                public=wanted.public,
                worm=wanted.worm,
                maxsize=wanted.maxsize,
            )

    def _copy(self, master: Master, states: list[State]) -> bool:
        """Copy for some time; return whether nothing is missing then."""
        self.progress.diverged.clear()
        missing, ends_at = list(states), time.monotonic() + COPY_S
        while missing and not self._stop.is_set() and time.monotonic() < ends_at:
            self._count(states)
            missing = [state for state in missing if self._copy_chunk(master, state)]
        self._count(states)
        return not missing

    def _count(self, states: list[State]) -> None:
        """Note how many bytes are missing."""
        spaces = self.store.namespaces

        def count() -> int:
            mine = {
                s.name: copying.state_of(spaces[s.name]).total for s in states if s.name in spaces
            }
            return sum(max(0, state.total - mine.get(state.name, 0)) for state in states)

        self.progress.behind = self._bridge.run(count)
        if not self.progress.behind and not self.progress.diverged:
            self.progress.synced_at = time.monotonic()

    def _copy_chunk(self, master: Master, state: State, size: int = CHUNK) -> bool:
        """Copy a chunk of a namespace; return whether there may be more."""
        namespace = self.store.namespaces[state.name]
        place = self._bridge.run(lambda: copying.place_of(namespace))
        word, blob = master.read(state.name, place, size)
        if word == "data":
            try:
                taken = self._bridge.run(lambda: copying.take(namespace, place, blob))
            except DamagedError as error:
                return self._leave(namespace, f"{error.message}: repair it there")
            self.progress.copied += taken
            if not taken and size < MAX_CHUNK:
                return self._copy_chunk(master, state, MAX_CHUNK)
            if not taken:
                raise MasterError(f"{master} sends a part of a record of {state.name}")
            return True
        if word == "end":
            beginning = BEGINNING._replace(file_id=place.file_id + 1)
            head = master.read(state.name, beginning, HEADER.size)[1]
            self._bridge.run(lambda: copying.begin_file(namespace, place, head))
            return True
        return word == "diverged" and self._begin_anew(master, namespace)

    def _begin_anew(self, master: Master, namespace: Namespace) -> bool:
        """Take the first file's header where nothing else is here; else that is an error."""
        head = master.read(namespace.name, BEGINNING, HEADER.size)[1]
        if self._bridge.run(lambda: self._take_header(namespace, head)):
            return True
        _, states = master.state("") or ("", [])
        if namespace.incarnation not in {state.incarnation for state in states}:
            return False  # it was emptied meanwhile, which the next round sees
        return self._leave(
            namespace,
            f"namespace {namespace.name} is left as it is: it has what the master has not; start"
            " with --resync true to copy it anew",
        )

    def _leave(self, namespace: Namespace, why: str) -> bool:
        """Go on without a namespace, until the master has changed something."""
        if namespace.name not in self._left:
            self._log(f"replica: {why}")
        self._left.add(namespace.name)
        self.progress.diverged.add(namespace.name)
        return False

    def _take_header(self, namespace: Namespace, head: bytes) -> bool:
        """Begin a namespace with the master's header; return whether that could be done."""
        if not namespace.is_fresh:
            if not self._may_discard:
                return False
            self.store.flush(namespace.name)
        if head == namespace.data.read(0, 0, HEADER.size):
            raise MasterError(f"the master's namespace {namespace.name} can't be copied")
        copying.take_header(namespace, head)
        return True
