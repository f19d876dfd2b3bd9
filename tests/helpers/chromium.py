"""A headless Chromium that tells what a page prints, and what it asks the network for."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


class Chromium:
    """A driver with the few things that tests ask of a page."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, width: int, height: int) -> None:
        """Opens a page in a window of this size (inside, in pixels)."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(page.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """What JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any) -> Any:
        """The same, once it is neither false nor empty."""
        return WebDriverWait(self.driver, 20, 0.05).until(lambda driver: driver.execute_script(script, *arguments))

    def choose(self, control: str, value: object) -> None:
        """Gives a form's control, by its id, a value as a user does."""
        events = "for (const name of ['input', 'change']) node.dispatchEvent(new Event(name, {bubbles: true}));"
        script = f"const node = document.getElementById(arguments[0]); node.value = arguments[1]; {events}"
        self.run(script, control, str(value))

    def printed(self) -> list[str]:
        """What the console has got since the last call: errors, warnings, refused requests."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requested(self) -> list[str]:
        """Addresses that were asked for since the last call, without those of data within the page."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
        addresses = [params["request"]["url"] for params in sent]
        return [address for address in addresses if not address.startswith(("data:", "blob:"))]


@contextmanager
def chromium() -> Iterator[Chromium]:
    """A browser; skips the test where there is none."""
    if not (BROWSER and DRIVER):
        pytest.skip("no chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    # Root has no sandbox.
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        yield Chromium(driver)
    finally:
        driver.quit()
