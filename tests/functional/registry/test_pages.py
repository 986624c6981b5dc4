"""The registry's pages in a real browser: accessible, on a phone, light and dark, by keyboard."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.helpers.registry.served import Client, serving, zos
from tests.helpers.registry.site import Node
from tests.helpers.serving.browser import PHONE, WIDE, Browser, run_chromium
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(900)
PLACE = ("--public", "country=Belgium", "--public", "latitude=51", "--public", "longitude=4")
NODE_SEED = 5
PATHS = {
    "overview": "/",
    "farms": "/pages/farms",
    "farm": "/pages/farms/1",
    "node": "/pages/nodes/1",
    "log": "/pages/log",
    "absent": "/pages/farms/99",
}


@pytest.fixture(name="browser", scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    top = tmp_path_factory.mktemp("pages")
    zos("init", top / "state")
    zos("farm", "key", top / "farm.key")
    with serving(top / "state") as server:
        words = ("register", server.url, "--key", top / "farm.key", "--name", "one", *PLACE)
        zos("farm", *words)
        node = Node(Client([server]), time.time, seed=NODE_SEED)
        assert node.register(problems=[{"code": "disk", "text": "a disk fails"}])[0] == 200
        driver = run_chromium()
        try:
            yield Browser(driver, server.url)
        finally:
            driver.quit()


@pytest.mark.parametrize("name", PATHS)
def test_every_page_is_accessible_and_fits_a_phone(
    browser: Browser, tmp_path: Path, name: str
) -> None:
    browser.open(PATHS[name])
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        for width in (PHONE, WIDE):
            browser.resize(width)
            browser.save(tmp_path / f"{name}-{width}-{scheme}.png")
            assert browser.run("return document.documentElement.scrollWidth") <= width
            assert browser.find_faults() == []
    refused = [row["message"] for row in browser.driver.get_log("browser")]
    assert [text for text in refused if "Content Security Policy" in text] == []


def test_from_the_map_to_a_node_by_keyboard(browser: Browser) -> None:
    browser.open("/")
    follow(browser, 'a[href="/pages/farms"]', "Farms")
    follow(browser, 'a[href="/pages/farms/1"]', "one")
    follow(browser, ".list a", "Node 1")
    assert "a disk fails" in browser.text()
    assert browser.run("return document.scripts.length") == 0


def follow(browser: Browser, selector: str, title: str) -> None:
    """Follow a link by the keyboard, and wait for its page."""
    browser.find(selector).send_keys(Keys.ENTER)
    wait_until(lambda: title in browser.text("h1"), title)
