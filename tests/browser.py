"""A page in headless Chromium, driven by tests."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_PATIENCE = 60  # seconds
_FLAGS = ("headless", "no-sandbox", "enable-unsafe-swiftshader", "use-angle=swiftshader", "disable-quic",
          "no-first-run", "disable-sync", "disable-background-networking", "disable-component-update",
          "window-size=1280,900")  # fmt: skip


class Page:
    """A page that is open. Places are counted from the left top of an element, in pixels of the screen."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def run(self, script: str) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script)

    def text(self, element: str) -> str:
        """The text of the element with this id, as it is seen."""
        return self.driver.find_element("id", element).text

    def click(self, element: str) -> None:
        self.driver.find_element("id", element).click()

    def keys(self, keys: str) -> None:
        self._acts().send_keys(keys).perform()

    def wait(self, script: str) -> None:
        """Wait until what the script returns is true."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, _PATIENCE).until(lambda _: self.run(f"return Boolean({script})"))

    def click_at(self, element: str, x: float, y: float, right: bool = False) -> None:
        acts = self._to(self._acts(), element, x, y)
        (acts.context_click() if right else acts.click()).perform()

    def drag(self, element: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        acts = self._to(self._acts(), element, *start).click_and_hold()
        self._to(acts, element, *end).release().perform()

    def problems(self) -> list[str]:
        """What the browser's console complains of."""
        log = self.driver.get_log("browser")
        return [line["message"] for line in log if line["level"] == "SEVERE"]

    def _acts(self) -> Any:
        from selenium.webdriver.common.action_chains import ActionChains

        return ActionChains(self.driver)

    def _to(self, acts: Any, element: str, x: float, y: float) -> Any:
        found = self.driver.find_element("id", element)
        size = found.size  # offsets are counted from the middle
        return acts.move_to_element_with_offset(
            found, round(x - size["width"] / 2), round(y - size["height"] / 2)
        )


@contextmanager
def opened(address: str, profile: Path) -> Iterator[Page]:
    """The page at an address; the test is skipped where there is no browser. profile: an empty folder for it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("Chromium and its driver are not installed")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*_FLAGS, f"user-data-dir={profile}"):
        options.add_argument(f"--{flag}")
    page = webdriver.Chrome(options=options, service=Service(driver))
    try:
        page.get(address)
        yield Page(page)
    finally:
        page.quit()
