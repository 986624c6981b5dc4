"""The statistics of a mount."""

from flist.mount.control import sum_statistics
from flist.mount.reader import Reader
from flist.mount.tree import Tree
from flist.store.fetch import Fetcher


def make_reader(*durations_s: float) -> Reader:
    """Return a version of a flist whose blocks took these times to fetch."""
    fetcher = Fetcher(None, None)
    for duration_s in durations_s:
        fetcher.statistics.note_fetch(1000, duration_s)
    return Reader(Tree.__new__(Tree), fetcher)


def test_the_keys_do_not_depend_on_what_was_fetched() -> None:
    idle, busy = (
        sum_statistics([make_reader()]),
        sum_statistics([make_reader(1.0, 2.0), make_reader(0.5)]),
    )
    assert idle.keys() == busy.keys()
    assert (idle["fetch_s"], idle["mean_s"], idle["versions"]) == (0.0, 0.0, 1)
    assert (busy["fetched"], busy["fetched_bytes"], busy["versions"]) == (3, 3000, 2)
    assert (busy["fetch_s"], busy["mean_s"], busy["slowest_s"]) == (3.5, 1.166667, 2.0)
