"""A running hub with its gallery, and a browser at it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.flist.gallery import fill, make_flist, publish, write_large
from tests.helpers.flist.hub import make_hub
from tests.helpers.flist.mount import serving
from tests.helpers.needs import need_tool
from tests.helpers.serving.browser import WIDE, Browser, run_chromium
from tests.helpers.waiting import wait_until


@dataclass(frozen=True)
class Site:
    """A running hub with its gallery, and a browser."""

    url: str
    browser: Browser
    digests: dict[str, str]
    top: Path

    def sign_in(self, name: str = "alice") -> None:
        """Sign in with the form."""
        self.browser.open("/login")
        self.browser.type("#username", name)
        self.browser.type("#password", f"{name}-password")
        self.browser.find("main button[type=submit]").click()
        wait_until(lambda: name in self.browser.text(".account"), "the session")

    def sign_out(self) -> None:
        """Forget the session."""
        self.browser.driver.delete_all_cookies()


@contextlib.contextmanager
def running_site(top: Path, *words: str, one: int, folders: int = 0) -> Iterator[Site]:
    """Fill a hub below `top`, and serve it with further flags.

    alice/large.fl has a directory of `one` entries, and `folders` of 200.
    """
    need_tool("chromium")
    need_tool("chromedriver")
    local = make_hub(top / "hub")
    digests = fill(local, top)
    make_flist(local, top / "tree" / "etc", top / "new.fl", {})
    write_large(top / "large.fl", one=one, folders=folders)
    publish(local, "alice", "alice/large.fl", top / "large.fl")
    local.hub.close()
    with serving(top / "hub", "127.0.0.1:0", *words) as server, run_chromium() as driver:
        browser = Browser(driver, server.url)
        browser.resize(WIDE)
        yield Site(server.url, browser, digests, top)
