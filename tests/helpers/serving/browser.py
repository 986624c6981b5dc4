"""Headless Chromium at one server: pages as people see them."""

import base64
import os
from pathlib import Path
from typing import Any

from axe_core_python.selenium import Axe
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from tests.helpers.needs import need_tool

PHONE, WIDE = 320, 1200
HEIGHT = 900


class Browser:
    """Headless Chromium at one server."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        self.url = url
        self.axe = Axe()

    def open(self, path: str) -> None:
        """Open a page of the server."""
        self.driver.get(self.url + path)

    def send(self, command: str, **values: object) -> None:
        """Send a command of the DevTools protocol."""
        self.driver.execute_cdp_cmd(command, values)

    def resize(self, width: int) -> None:
        """Set the width of the page."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=HEIGHT,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """Prefer "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def run(self, script: str) -> Any:
        """Return what a script returns."""
        return self.driver.execute_script(script)

    def find(self, selector: str) -> Any:
        """Return the first element."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def type(self, selector: str, text: str) -> None:
        """Replace the text of a field."""
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def text(self, selector: str = "body") -> str:
        """Return the text that is shown, "" while the element is being replaced."""
        script = f"return document.querySelector('{selector}')?.innerText"
        return str(self.run(script) or "")

    def find_faults(self, *rules: str) -> list[str]:
        """Return what axe finds by these rules or by all, with all details unfolded."""
        self.run(
            "document.querySelectorAll('details').forEach(it => {it.name = ''; it.open = true})"
        )
        options = {"runOnly": list(rules)} if rules else None
        found = self.axe.run(self.driver, None, options)["violations"]
        return [f"{row['id']}: {row['nodes'][0]['html'][:120]}" for row in found]

    def save(self, path: Path) -> None:
        """Save a picture of the whole page, however long."""
        values = {"captureBeyondViewport": True}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", values)
        path.write_bytes(base64.b64decode(shot["data"]))


def run_chromium() -> webdriver.Chrome:
    """Start Debian's Chromium; selenium has nothing to look for, so it downloads nothing."""
    os.environ["SE_OFFLINE"] = "true"
    options = webdriver.ChromeOptions()
    options.binary_location = str(need_tool("chromium"))
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(word)
    return webdriver.Chrome(options, Service(str(need_tool("chromedriver"))))
