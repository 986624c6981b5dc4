"""The pages in a real browser: what a farmer does, without a script too, on a phone, accessibly."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.functional.bootstrap_server.test_server import PUBLIC, run_server
from tests.helpers.needs import need_tool
from tests.helpers.serving.browser import PHONE, WIDE, Browser, run_chromium
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(900)
EVERY_PAGE = [
    "/",
    "/?farm=4711&machine=usb&runmode=dev",
    "/?farm=4711&machine=cd&runmode=dev",
    "/?farm=4711&machine=network&runmode=dev",
    "/?farm=4711&machine=secure&runmode=dev",
    "/?farm=4711&runmode=qa",
    "/?farm=0&runmode=x&machine=x&extra=init%3Dx",
    "/expert",
    "/expert?farm=4711&runmode=dev&vlan=20&extra=zos-debug",
    "/expert?farm=0&runmode=x&address=10.0.0.5&vlan=0&ipv6=x&mirror=x&console=x&kind=x",
    "/generate?farm=4711&runmode=dev",
    "/farms",
    "/farms?farm=0",
    "/farms/4711",
    "/farms/1",
    "/farms/1/claim",
    "/images",
    "/help",
    "/help?code=99",
    "/help/ZB12",
    "/nowhere",
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    need_tool("chromium")
    need_tool("chromedriver")
    top = tmp_path_factory.mktemp("pages")
    releases = top / "releases"
    (releases / "dev").mkdir(parents=True)
    for name in ("vmlinuz", "initramfs.zst"):
        (releases / "dev" / name).write_bytes(b"content")
    with run_server(releases, ZOS_BOOTSTRAP_STATE=str(top)) as server, run_chromium() as driver:
        for farm in (4711, 4712):
            report(server.url, "script", farm)
            report(server.url, "failed", farm, code="ZB22")
        browser = Browser(driver, server.url)
        browser.resize(WIDE)
        yield browser


def report(url: str, stage: str, farm: int, **more: str) -> None:
    """Report a stage of a boot, as a node's iPXE does."""
    fields = {
        "uuid": f"00000000-0000-4000-8000-00000000{farm}",
        "mac": f"52:54:00:12:34:{farm % 100}",
    }
    said = {**fields, "farm": str(farm), "mode": "dev", **more}
    answer = urllib3.request("GET", f"{url}/boot/{stage}", fields=said, timeout=60, retries=False)
    assert answer.status == 200, answer.data


def test_from_a_farm_number_to_a_stick_by_keyboard_alone(browser: Browser) -> None:
    browser.open("/")
    browser.run("document.getElementById('farm').focus()")
    keys = webdriver.ActionChains(browser.driver)
    keys.send_keys("4711", Keys.TAB, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ENTER).perform()
    wait_until(lambda: "The image of farm 4711" in browser.text(), "the image")
    button = browser.find("#result .button")
    assert button.get_attribute("href") == f"{PUBLIC}/usb/dev/4711"
    for word in ("Download", "SHA-256", "Windows", "macOS", "Linux", "Watch the screen"):
        assert word in browser.text("#result")
    assert browser.find("svg.qr").size["width"] > 100


@pytest.mark.parametrize("system", ["Windows", "macOS", "Linux"])
def test_the_steps_of_one_system_are_unfolded_at_a_time(browser: Browser, system: str) -> None:
    browser.open("/?farm=4711&runmode=dev")
    opened = "return [...document.querySelectorAll('details[name=system][open] summary')]"
    shown = opened + ".map(it => it.innerText)"
    assert len(browser.run(shown)) == 1
    title = browser.driver.find_element(By.XPATH, f"//summary[.='{system}']")
    if browser.run(shown) != [system]:
        title.click()
    assert browser.run(shown) == [system]


def test_the_expert_page_follows_while_one_types(browser: Browser) -> None:
    browser.open("/expert?runmode=dev&kind=usb")
    browser.type("#farm", "4711")
    wait_until(lambda: "farmer_id=4711" in browser.text("#outcome"), "the farm in the script")
    browser.type("#vlan", "x")
    wait_until(lambda: "from 1 to 4094" in browser.text("#vlan-said"), "the error beside the field")
    assert browser.find("#vlan").get_attribute("aria-invalid") == "true"
    browser.type("#vlan", "20")
    wait_until(lambda: "/usb/dev/4711?vlan=20" in browser.text("#outcome"), "the address")
    assert browser.find("#vlan").get_attribute("aria-invalid") is None
    assert browser.run("return document.activeElement.id") == "vlan"
    query = parse_qs(urlsplit(browser.driver.current_url).query)
    assert query == {
        "kind": ["usb"],
        "runmode": ["dev"],
        "farm": ["4711"],
        "vlan": ["20"],
        "ipv6": ["off"],
    }


def test_without_a_script_a_button_does_the_same(browser: Browser) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open("/expert?runmode=dev&kind=usb")
        for field, text in {"farm": "4711", "vlan": "20"}.items():
            browser.find(f"#{field}").send_keys(text)
        browser.find("form button").click()
        outcome = browser.find("#outcome").text
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
    assert f"{PUBLIC}/usb/dev/4711?vlan=20" in outcome
    assert "farmer_id=4711" in outcome


def test_a_farmer_follows_a_boot(browser: Browser) -> None:
    browser.open("/farms/4712")
    shown = browser.text("#nodes")
    assert "Failed" in shown and "ZB22" in shown
    link = browser.find(".node .error a").get_attribute("href")
    assert link == f"{browser.url}/help/ZB22"
    report(browser.url, "script", 4712)
    report(browser.url, "kernel", 4712)
    done = "return [...document.querySelectorAll('.done')].map(it => it.firstChild.data.trim())"
    wanted = ["script fetched", "kernel fetched"]
    wait_until(lambda: browser.run(done) == wanted, "the new boot on the page")
    assert browser.text("#counts") == "1 booting"


def test_a_farmer_without_a_script_loads_again(browser: Browser) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open("/farms?farm=4711")
        assert "Failed" in browser.find("#nodes").text
        report(browser.url, "script", 4711)
        browser.find("a.button").click()
        assert "Booting" in browser.find("#nodes").text
        browser.open("/farms/4711?every=15")
        assert browser.find("meta[http-equiv=refresh]").get_attribute("content") == "15"
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
    browser.open("/farms/4711?every=x")
    assert browser.driver.find_elements(By.CSS_SELECTOR, "meta[http-equiv=refresh]") == []


@pytest.mark.parametrize("path", EVERY_PAGE)
def test_every_page_is_accessible_and_fits_a_phone(browser: Browser, path: str) -> None:
    browser.open(path)
    for scheme, width, rules in (("light", PHONE, ()), ("dark", WIDE, ("color-contrast",))):
        browser.prefer(scheme)
        browser.resize(width)
        assert browser.find_faults(*rules) == []
        assert browser.run("return document.documentElement.scrollWidth") <= width
    refused = [row["message"] for row in browser.driver.get_log("browser")]
    assert [text for text in refused if "Content Security Policy" in text] == []


def test_the_focus_is_always_seen(browser: Browser) -> None:
    browser.prefer("light")
    browser.open("/?farm=4711&runmode=dev")
    count = browser.run("return document.querySelectorAll('a, input, summary, button, pre').length")
    drawn = """
        const at = document.activeElement;
        const places = at.type === "radio" ? [at, at.nextElementSibling] : [at];
        const isDrawn = places.some(it => getComputedStyle(it).outlineStyle !== "none");
        return at === document.body || isDrawn;
    """
    for _ in range(count):
        browser.find("body").send_keys(Keys.TAB)
        assert browser.run(drawn), browser.run("return document.activeElement.outerHTML")
