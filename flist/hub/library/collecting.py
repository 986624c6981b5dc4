"""Collecting the garbage of a hub, and when a server does so by itself."""

import threading
import time
from collections.abc import Callable

from sqlalchemy import exists, select, update

from common.errors import ZosError
from flist.format.sqlitefile import MAGIC
from flist.hub.errors import InvalidError
from flist.hub.library.accepting import parse_flist
from flist.hub.library.hub import Hub
from flist.hub.state.garbage import Collector, Garbage, Progress, StoppedError
from flist.hub.state.objects import insert_all
from flist.hub.state.tables import FACTS, FILES, OBJECTS, PIECES, USES
from flist.server.names import name_file
from serving.database import insert_new

TICK_S = 10.0
LAST_RUN = "gc"


def silent(_what: str, _count: int) -> None:
    """Tell nobody about progress."""


def collect(
    hub: Hub,
    older_than_s: float,
    *,
    is_dry: bool = False,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Garbage:
    """Remove what nothing has needed for `older_than_s`."""
    hub.contents.forget_drafts()
    examine_files(hub)
    cutoff_s = time.time() - older_than_s
    collector = Collector(
        hub.blocks, cutoff_s, is_dry=is_dry, progress=progress, should_stop=should_stop
    )
    return collector.collect()


def examine_files(hub: Hub) -> None:
    """Note what the uploaded files need that were sent block by block: a website's flist needs the
    blocks that it names. A file is examined once, when all its parts are there."""
    is_known = exists().where(USES.c.object == FILES.c.object)
    is_whole = exists().where(OBJECTS.c.digest == FILES.c.object)
    wanted = select(FILES.c.object).where(~is_known, ~is_whole).distinct()
    with hub.database.reading() as connection:
        names = [row.object for row in connection.execute(wanted)]
    for name in names:
        examine_file(hub, name)


def examine_file(hub: Hub, name: str) -> None:
    """Note what one file needs, if it is complete."""
    wanted = select(PIECES.c.block).where(PIECES.c.object == name).order_by(PIECES.c.position)
    with hub.database.reading() as connection:
        pieces = [bytes(row.block) for row in connection.execute(wanted)]
    if not pieces or name_file(piece.hex() for piece in pieces) != name:
        return
    try:
        uses = named_blocks(hub, pieces)
    except ZosError:
        return  # a block is missing or damaged: `check` says so
    with hub.database.writing() as connection:
        needed = sorted({*pieces, *uses})
        insert_all(connection, USES, ({"block": b, "object": name} for b in needed))


def named_blocks(hub: Hub, pieces: list[bytes]) -> frozenset[bytes]:
    """Return the blocks that a file names if it is a flist."""
    if hub.blocks.get_range(pieces[0], 0, len(MAGIC)) != MAGIC:
        return frozenset()
    draft = hub.contents.receive(map(hub.blocks.get, pieces), hub.settings.max_file_bytes)
    try:
        return parse_flist(draft.path).blocks
    except InvalidError:
        return frozenset()
    finally:
        draft.discard()


class Upkeep:
    """What a server does by itself: it collects garbage when it is time, and writes down counts.

    Of several servers on one database, one collects.
    """

    def __init__(self, hub: Hub, flush_counts: Callable[[], None]) -> None:
        self.hub = hub
        self.flush_counts = flush_counts
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def stop(self) -> None:
        """End, after the batch of blocks that is being removed."""
        self.stopping.set()
        self.thread.join(TICK_S)
        self.flush_counts()

    def run(self) -> None:
        """Look every few seconds whether there is something to do."""
        while not self.stopping.wait(TICK_S):
            try:
                self.flush_counts()
                if self.is_due():
                    self.collect()
            except StoppedError:
                return
            except (ZosError, OSError) as error:
                self.hub.kit.log.error("upkeep", error=str(error))
            except Exception as error:  # the next time it may go well, and the server goes on
                self.hub.kit.log.error("upkeep", error=repr(error))

    def is_due(self) -> bool:
        """Return whether this server shall collect garbage now."""
        interval_s, now_s = self.hub.settings.gc_interval, time.time()
        if not interval_s:
            return False
        with self.hub.database.writing() as connection:
            if insert_new(connection, FACTS, {"name": LAST_RUN, "value": str(now_s)}):
                return False  # a new hub: in an interval from now
            mine = FACTS.c.name == LAST_RUN
            last = connection.execute(select(FACTS.c.value).where(mine).with_for_update()).scalar()
            if now_s - float(last or 0) < interval_s:
                return False
            connection.execute(update(FACTS).where(mine).values(value=str(now_s)))
        return True

    def collect(self) -> None:
        """Collect garbage, and log what was done."""
        found = collect(self.hub, self.hub.settings.gc_older_than, should_stop=self.stopping.is_set)
        self.hub.kit.log.info("garbage collected", removed=found.removed,
                              bytes=found.removed_bytes, failed=len(found.failed))  # fmt: skip
