"""The hub's pages in a real browser: accessible, on a phone, by keyboard, without a script too."""

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest
import urllib3
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

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


DROP = """
    const [text, name] = arguments;
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    const moved = new DataTransfer();
    moved.items.add(new File([bytes], name));
    const area = document.querySelector("[data-drop]");
    for (const kind of ["dragenter", "dragover", "drop"])
        area.dispatchEvent(new DragEvent(kind, { dataTransfer: moved, cancelable: true }));
    return document.querySelector("#file").files[0]?.name;
"""


def drop(site: Site, data: bytes, name: str) -> None:
    """Drop a file on the form of uploads, and send it."""
    browser = site.browser
    browser.open("/-/upload?repository=alice")
    text = base64.b64encode(data).decode()
    assert browser.driver.execute_script(DROP, text, name) == name
    browser.find("form[data-upload] [type=submit]").click()


def test_a_dropped_flist_is_published(site: Site) -> None:
    site.sign_in()
    browser = site.browser
    drop(site, b"no flist", "dropped.fl")
    wait_until(lambda: "This is not a flist" in browser.text("main"), "what is wrong")
    assert browser.run("return document.activeElement.id") == "main"
    drop(site, (site.top / "new.fl").read_bytes(), "dropped.fl")
    wait_until(lambda: "dropped.fl" in browser.text("h1"), "the flist")
    assert browser.driver.current_url == f"{site.url}/alice/dropped.fl.md"


def test_an_upload_shows_how_far_it_is(site: Site) -> None:
    site.sign_in()
    browser = site.browser
    throttle = {"offline": False, "latency": 0, "downloadThroughput": -1}
    browser.open("/-/upload?repository=alice")
    browser.send("Network.enable")
    browser.send("Network.emulateNetworkConditions", uploadThroughput=1 << 20, **throttle)
    try:
        browser.find("#file").send_keys(str(site.top / "large.fl"))
        browser.type("#name", "slow.fl")
        browser.find("form[data-upload] [type=submit]").click()
        value = "return document.querySelector('progress')?.value ?? 0"
        wait_until(lambda: 0 < browser.run(value) < 100, "the bar")
        assert browser.find("form[data-upload] [type=submit]").get_attribute("disabled")
    finally:
        browser.send("Network.emulateNetworkConditions", uploadThroughput=-1, **throttle)
    wait_until(lambda: "slow.fl" in browser.text("h1"), "the flist", 120)


def test_a_form_without_a_script_publishes_and_rolls_back(site: Site) -> None:
    site.sign_in()
    browser = site.browser
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        for version in ("web.fl", "new.fl"):
            browser.open("/-/upload?repository=alice&name=plain.fl")
            browser.find("#file").send_keys(str(site.top / version))
            browser.find("form[data-upload] [type=submit]").click()
            assert browser.find("h1").text == "plain.fl"
        assert "/alice/plain.fl/changes?" in browser.driver.page_source
        browser.find(".versions button").click()
        published = browser.driver.find_elements(By.CSS_SELECTOR, ".versions .good")
        assert len(published) == 1
        assert "481 entries" in browser.find(".lead").text or "480" in browser.find(".lead").text
        browser.find("#own ~ details summary").click()
        browser.find("#confirm").send_keys("plain.fl")
        browser.find("button.danger").click()
        assert browser.find("h1").text == "alice"
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


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


def test_a_new_token_works_at_once(site: Site) -> None:
    site.sign_in()
    browser = site.browser
    browser.open("/-/account")
    browser.type("#name", "a robot")
    browser.find("#new ~ form [type=submit]").click()
    wait_until(lambda: "The new token" in browser.text("main"), "the token")
    token = browser.find("#made ~ pre").text
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/html"}
    page = urllib3.request("GET", f"{site.url}/-/account", headers=headers, retries=False)
    assert page.status == 403  # it lacks the scope admin
    made = "//strong[contains(., 'a robot')]/ancestor::li//button"
    browser.driver.find_element(By.XPATH, made).click()
    wait_until(lambda: "revoked" in browser.text("main"), "the end of the token")
    page = urllib3.request("GET", f"{site.url}/", headers=headers, retries=False)
    assert page.status == 401


def test_signing_in_and_out(site: Site) -> None:
    browser = site.browser
    site.sign_out()
    browser.open("/-/upload")
    assert browser.driver.current_url == f"{site.url}/login?next=%2F-%2Fupload"
    browser.type("#username", "alice")
    browser.type("#password", "wrong-password")
    browser.find("main [type=submit]").click()
    wait_until(lambda: "Something needs another look" in browser.text("main"), "the refusal")
    site.sign_in()
    browser.driver.find_element(By.XPATH, "//button[.='Sign out']").click()
    wait_until(lambda: "Sign in" in browser.text(".account"), "the end of the session")
    assert not browser.driver.get_cookies()
