"""A store with signed channels, and a bootstrap server that serves it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.releases.store import Maintainer


@pytest.fixture
def maintainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maintainer:
    monkeypatch.setattr("os.fsync", lambda _: None)
    made = Maintainer.begin(tmp_path)
    made.publish("prod", "1.0")
    return made


@pytest.fixture
def url(maintainer: Maintainer) -> Iterator[str]:
    """Run a server on the store."""
    listener = open_listener("127.0.0.1", 0)
    place = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = Settings(place, place, store=maintainer.layout.top, root=maintainer.root)
    with serve_in_thread(create_app(settings), listener):
        yield place
