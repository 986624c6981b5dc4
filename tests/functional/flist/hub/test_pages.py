"""The hub's pages in a real browser: accessible, on a phone, by keyboard, without a script too."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.flist.gallery import fill, make_flist, publish, write_large
from tests.helpers.flist.hub import make_hub
from tests.helpers.flist.mount import serving
from tests.helpers.needs import need_tool
from tests.helpers.serving.browser import PHONE, WIDE, Browser, run_chromium
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(900)
READING = {
    "home": "/",
    "search": "/?q=web",
    "nothing-found": "/?q=qqq",
    "repository": "/alice",
    "tag": "/alice/tags/stable",
    "flist": "/alice/web.fl.md",
    "link": "/alice/latest.fl.md",
    "old-version": "/alice/web.fl.md?version={old}",
    "directory": "/alice/web.fl/files/",
    "next-page": "/alice/web.fl/files/many?after=20",
    "hostile-names": "/alice/web.fl/files/odd",
    "hostile-name": "/alice/web.fl/files/odd/new%0Aline",
    "text": "/alice/web.fl/files/etc/motd",
    "picture": "/alice/web.fl/files/picture.png",
    "binary": "/alice/web.fl/files/binary",
    "symbolic-link": "/alice/web.fl/files/evil",
    "in-flist-search": "/alice/web.fl/files/?q=mot",
    "changes": "/alice/web.fl/changes?from={old}&to={new}",
    "sign-in": "/login",
    "absent": "/alice/nothing.fl.md",
}
OWN = {
    "own-flist": "/alice/web.fl.md",
    "own-repository": "/alice",
    "upload": "/-/upload?repository=alice",
    "account": "/-/account",
    "refused": "/-/audit",
}
EVERY = {**READING, **OWN}


@dataclass(frozen=True)
class Site:
    """A running hub with its gallery, and a browser."""

    url: str
    browser: Browser
    digests: dict[str, str]
    top: Path

    def path(self, name: str) -> str:
        """Return the address of a page."""
        return EVERY[name].format(**self.digests)

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


@pytest.fixture(name="site", scope="module")
def run_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need_tool("chromium")
    need_tool("chromedriver")
    top = tmp_path_factory.mktemp("pages")
    local = make_hub(top / "hub")
    digests = fill(local, top)
    meta = make_flist(local, top / "tree" / "etc", top / "new.fl", {})
    assert meta.exists()
    publish(local, "alice", "alice/large.fl", write_large(top / "large.fl"))
    local.hub.close()
    with serving(top / "hub") as server, run_chromium() as driver:
        browser = Browser(driver, server.url)
        browser.resize(WIDE)
        yield Site(server.url, browser, digests, top)


@pytest.fixture(name="pictures", scope="module")
def make_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.mark.parametrize("name", EVERY)
def test_every_page_is_accessible_and_fits_a_phone(site: Site, pictures: Path, name: str) -> None:
    browser = site.browser
    if name in OWN and not browser.driver.get_cookies():
        site.sign_in()
    browser.open(site.path(name))
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        for width, place in ((PHONE, "phone"), (WIDE, "desktop")):
            browser.resize(width)
            browser.save(pictures / f"{name}-{place}-{scheme}.png")
            assert browser.run("return document.documentElement.scrollWidth") <= width
            assert browser.find_faults(*([] if width == PHONE else ["color-contrast"])) == []
    browser.prefer("light")
    refused = [row["message"] for row in browser.driver.get_log("browser")]
    assert [text for text in refused if "Content Security Policy" in text] == []
