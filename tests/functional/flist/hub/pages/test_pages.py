"""The hub's pages in a real browser: accessible, on a phone, by keyboard, without a script too."""

import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest
import urllib3
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.helpers.flist.site import Site, running_site
from tests.helpers.serving.browser import PHONE, WIDE
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
    "convert": "/-/convert",
    "refused": "/-/audit",
    "new-repository": "/-/repositories",
    "settings": "/-/repositories/alice",
}
EVERY = {**READING, **OWN}


@pytest.fixture(name="site", scope="module")
def run_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    top = tmp_path_factory.mktemp("pages")
    with running_site(top, folders=2_000, one=100_000) as site:
        yield site


@pytest.fixture(name="pictures", scope="module")
def make_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.mark.parametrize("name", EVERY)
def test_every_page_is_accessible_and_fits_a_phone(site: Site, pictures: Path, name: str) -> None:
    browser = site.browser
    if name in OWN and not browser.driver.get_cookies():
        site.sign_in()
    browser.open(EVERY[name].format(**site.digests))
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        for width, place in ((PHONE, "phone"), (WIDE, "desktop")):
            browser.resize(width)
            browser.save(pictures / f"{name}-{place}-{scheme}.png")
            assert browser.run("return document.documentElement.scrollWidth") <= width
            if (scheme == "light") == (width == PHONE):
                assert browser.find_faults(*([] if width == PHONE else ["color-contrast"])) == []
    browser.prefer("light")
    refused = [row["message"] for row in browser.driver.get_log("browser")]
    assert [text for text in refused if "Content Security Policy" in text] == []


def test_nothing_is_executed_that_somebody_has_published(site: Site) -> None:
    browser = site.browser
    browser.run("window.name = ''")
    for path in ("files/drawing.svg", "files/page.html", "files/odd", "raw/picture.png?show=1"):
        browser.open(f"/alice/web.fl/{path}")
        assert browser.driver.execute_script("return document.scripts.length") <= 1
    browser.open("/alice/web.fl.md")
    assert browser.find(".readme a").get_attribute("href") == "https://example.org/"
    browser.open("/alice/web.fl/files/picture.png")
    size = browser.run("return document.querySelector('figure img').naturalWidth")
    assert size == 64


def test_from_the_first_page_to_a_file_by_keyboard_alone(site: Site) -> None:
    browser = site.browser
    site.sign_out()
    browser.open("/")

    def press_until(text: str) -> None:
        """Press the tabulator until the focus is on a link or button with a text, then enter."""
        focused = "return (document.activeElement.innerText || '').trim()"
        for _ in range(60):
            browser.find("body").send_keys(Keys.TAB)
            outline = "return getComputedStyle(document.activeElement).outlineStyle"
            assert browser.run(outline) != "none" or browser.run(focused) == ""
            if browser.run(focused) == text:
                webdriver.ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
                return
        raise AssertionError(f"{text} is not reached by the keyboard")

    press_until("alice/web.fl")
    wait_until(lambda: "Use it" in browser.text("main"), "the flist")
    press_until("Browse the files")
    wait_until(lambda: "entries" in browser.text("main"), "the files")
    press_until("etc/")
    wait_until(lambda: "motd" in browser.text("main"), "the directory")
    press_until("motd")
    wait_until(lambda: "Welcome again." in browser.text("main"), "the text")


def test_a_search_leads_to_a_flist_and_to_a_name_in_it(site: Site) -> None:
    browser = site.browser
    browser.open("/")
    browser.type("#q", "WEB alice")
    browser.find("#q").send_keys(Keys.ENTER)
    wait_until(lambda: "1 flist with" in browser.text("main"), "what was found")
    browser.open("/alice/web.fl/files/")
    browser.type("#q", "mot")
    browser.find("#q").send_keys(Keys.ENTER)
    wait_until(lambda: "/etc/motd" in browser.text("main"), "the name")


def test_a_command_is_copied(site: Site) -> None:
    browser = site.browser
    browser.send("Browser.grantPermissions", permissions=["clipboardReadWrite"], origin=site.url)
    browser.open("/alice/web.fl.md")
    script = """
        const block = document.querySelector("details[open] pre");
        block.previousElementSibling.click();
        return block.textContent;
    """
    text = browser.run(script)
    wait_until(lambda: browser.text("details[open] .copy") == "Copied", "the copy")
    read = "navigator.clipboard.readText().then(arguments[0])"
    assert browser.driver.execute_async_script(read) == text
    assert text.startswith("zos flist mount -m http")


class Links(HTMLParser):
    """Collects the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the address of a link."""
        values = dict(attrs)
        if tag == "a" and values.get("href"):
            self.found.append(str(values["href"]))


def test_everything_public_is_reached_by_links_without_a_script(site: Site) -> None:
    pool = urllib3.PoolManager(retries=False, timeout=60)
    waiting, seen = ["/"], {"/"}
    for path in waiting:  # grows during the loop
        answer = pool.request("GET", site.url + path, headers={"Accept": "text/html"})
        assert answer.status in (200, 303), (path, answer.status)
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        links = Links()
        links.feed(answer.data.decode())
        for link in links.found:
            target = urljoin(path, link).partition("#")[0]
            if target.startswith("/") and target not in seen and "large.fl" not in target:
                seen.add(target)
                waiting.append(target)
        if len(waiting) > 400:
            break
    for wanted in ("/alice", "/alice/web.fl.md", "/alice/web.fl/files/odd/new%0Aline"):
        assert wanted in seen
    assert not [path for path in seen if "secret" in path]


def test_a_flist_of_half_a_million_entries_opens_at_once(site: Site) -> None:
    pool = urllib3.PoolManager(retries=False, timeout=60)
    for path in (
        "/alice/large.fl.md",
        "/alice/large.fl.md",
        "/alice/large.fl/files/",
        "/alice/large.fl/files/huge",
        "/alice/large.fl/files/huge?after=480000",
        "/alice/large.fl/files/?q=entry-0999",
        "/alice/large.fl/files/?q=is-not-there",
    ):
        times = []
        for _ in range(3):
            begun = time.monotonic()
            answer = pool.request("GET", site.url + path)
            times.append(time.monotonic() - begun)
            assert answer.status == 200
        said = ", ".join(f"{seconds * 1000:.0f}" for seconds in times)
        print(f"{path}: {said} ms, {len(answer.data)} bytes")
