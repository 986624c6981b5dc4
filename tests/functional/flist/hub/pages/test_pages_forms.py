"""The hub's forms in a real browser: sessions, tokens, uploads and conversions."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from tests.helpers.checkout import TOP
from tests.helpers.flist.registry import build_image, make_layer, member, push, running_registry
from tests.helpers.flist.site import Site, running_site
from tests.helpers.needs import need_fuse
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(name="registry", scope="module")
def run_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("registry")) as host:
        layer = make_layer(member("hello", b"from an image"))
        push(host, "team/app", "1", build_image([layer], ()))
        yield host


@pytest.fixture(name="site", scope="module")
def run_site(tmp_path_factory: pytest.TempPathFactory, registry: str) -> Iterator[Site]:
    top = tmp_path_factory.mktemp("forms")
    with running_site(top, "--insecure-registries", registry, one=50_000) as site:
        yield site


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
            wait_until(lambda: "<h1>plain.fl" in browser.driver.page_source, "the flist")
        assert "/alice/plain.fl/changes?" in browser.driver.page_source
        old = browser.find(".versions button")
        old.click()
        WebDriverWait(browser.driver, 60).until(staleness_of(old))
        published = browser.driver.find_elements(By.CSS_SELECTOR, ".versions .good")
        assert len(published) == 1
        assert "480 entries" in browser.find(".lead").text
        browser.find("#own ~ details summary").click()
        browser.find("#confirm").send_keys("plain.fl")
        browser.find("button.danger").click()
        wait_until(lambda: "<h1>alice" in browser.driver.page_source, "the repository")
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


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


def run_text(text: str, folder: Path) -> str:
    """Run a text of a page in a shell, with this checkout's `zos`; return what it prints."""
    (folder / "zos").write_text(f'#!/bin/sh\nexec {sys.executable} -m zero_os "$@"\n')
    (folder / "zos").chmod(0o755)
    path = {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(TOP)}
    done = subprocess.run(
        ["bash", "-euc", text], cwd=folder, env={**os.environ, **path}, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_on_the_pages_do_what_they_say(site: Site, tmp_path: Path) -> None:
    need_fuse()
    site.sign_in()
    browser = site.browser
    browser.open("/-/account")
    browser.type("#name", "a terminal")
    browser.find("#new ~ form [type=submit]").click()
    wait_until(lambda: "The new token" in browser.text("main"), "the token")
    token = browser.find("#made ~ pre").text
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "greeting").write_text("hello from a page")
    browser.open("/alice")
    text = str(browser.run("return document.querySelector('#publish ~ pre').textContent"))
    for word, value in {"TOKEN\n": f"{token}\n", "NAME": "typed", "DIRECTORY": "tree"}.items():
        text = text.replace(word, value)
    assert run_text(text, tmp_path).strip().endswith("/alice/typed.fl")
    browser.open("/alice/typed.fl.md")
    text = str(browser.run("return document.querySelector('details[open] pre').textContent"))
    target = tmp_path / "mounted"
    target.mkdir()
    text = text.replace("/var/cache/flist", str(tmp_path / "cache")).replace(" /mnt", f" {target}")
    try:
        run_text(text.replace("mount -m", "mount -d -m"), tmp_path)
        assert (target / "greeting").read_text() == "hello from a page"
    finally:
        subprocess.run(["umount", "-l", target], check=False, capture_output=True)


def convert(site: Site, image: str, name: str) -> None:
    """Fill in the form of a conversion, and send it."""
    site.browser.open("/-/convert?repository=alice")
    site.browser.type("#image", image)
    site.browser.type("#name", name)
    site.browser.find("main form button[type=submit]").click()


def test_an_image_is_converted_and_watched(site: Site, registry: str) -> None:
    site.sign_in()
    browser = site.browser
    convert(site, f"{registry}/team/app:1", "app.fl")
    wait_until(lambda: "/-/jobs/" in browser.driver.current_url, "the job")
    wait_until(lambda: "Show the flist" in browser.text("main"), "the end of the job", 120)
    assert browser.text("main .badge") == "done"
    assert browser.find_faults() == []
    browser.find("main a.button").click()
    assert browser.text("h1").startswith("app.fl")
    browser.open("/alice/app.fl/files/hello")
    assert "from an image" in browser.text("main")
    browser.open("/-/convert")
    assert "alice/app.fl" in browser.text("#jobs ~ ul")


def test_a_conversion_that_fails_says_why(site: Site, registry: str) -> None:
    site.sign_in()
    browser = site.browser
    convert(site, "not an image", "app.fl")
    wait_until(lambda: "Something needs another look" in browser.text("main"), "what is wrong")
    assert browser.find("#image").get_attribute("value") == "not an image"
    convert(site, f"{registry}/team/nothing:1", "nothing.fl")
    wait_until(lambda: browser.text("main .badge") == "failed", "the end of the job", 120)
    assert browser.text("[data-message]")
    assert "/nothing.fl.md" not in browser.driver.page_source


def test_a_job_is_followed_without_a_script(site: Site, registry: str) -> None:
    site.sign_in()
    browser = site.browser
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        convert(site, f"{registry}/team/app:1", "plainly.fl")
        wait_until(lambda: "/-/jobs/" in browser.driver.current_url, "the job")

        def is_done() -> Any:
            return "Show the flist" in browser.driver.page_source  # the page loads itself again

        wait_until(is_done, "the end of the job", 120)
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
