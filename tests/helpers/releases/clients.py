"""Two clients of a repository whose files a test holds: ours, and python-tuf's."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from common.releases.channel import Channel, read_channel
from common.tuf.trust import Trusted

Files = Mapping[str, bytes]


class Ours:
    """Our client, with what it keeps between two updates."""

    def __init__(self, root: bytes) -> None:
        self.trusted = Trusted(root)

    def update(self, files: Files, channel: str, now: float) -> Channel:
        """Read a channel; what is trusted only changes if it is good."""
        found = read_channel(self.trusted, channel, lambda name, _: files.get(name), now)
        self.trusted = found.trusted
        return found


class Fetcher(FetcherInterface):
    """Hands python-tuf the files of a test."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.rpartition("/")[2]
        if name not in self.files:
            raise DownloadHTTPError("not there", 404)
        data = self.files[name]
        yield from (data[at : at + 4096] for at in range(0, len(data), 4096))


class Reference:
    """python-tuf's client; what it keeps is in `folder`."""

    def __init__(self, root: bytes, folder: Path) -> None:
        self.root = root
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def update(self, files: Files, channel: str, now: float) -> dict[str, str]:
        """Return the version of the channel's release, by way of its history target."""
        updater = Updater(
            str(self.folder), "http://test/", fetcher=Fetcher(files), bootstrap=self.root
        )
        updater._trusted_set.reference_time = datetime.fromtimestamp(now, UTC)
        updater.refresh()
        info = updater.get_targetinfo(f"{channel}/history.jsonl")
        assert info is not None
        custom: dict[str, str] = info.custom
        return custom
