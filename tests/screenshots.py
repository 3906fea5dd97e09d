"""`make screenshots`: the pictures of the README, made anew from the running demo."""

from __future__ import annotations

import base64
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "images"
# The browser's helpers belong to the tests of the page.
sys.path.insert(0, str(ROOT / "tests" / "status"))

from page_browser import chromium, scheme, width  # noqa: E402 - after its folder is known

from tests.running_demo import running_demo  # noqa: E402

SHOTS = {
    "home-phone": ("/?lang=en", 390, 844, "light", 2),
    "energy-desktop": ("/energy?lang=en", 1280, 1000, "light", 1),
    "reactive-desktop": ("/reactive?lang=en", 1280, 900, "dark", 1),
}
"""Name → address, width, height, colours, pixels of a picture for each of the page."""
QUALITY = 84


def main() -> int:
    """Make them all."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with (
        running_demo() as address,
        tempfile.TemporaryDirectory() as profile,
        chromium(Path(profile)) as driver,
    ):
        driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        for name, (path, pixels, height, colours, ratio) in SHOTS.items():
            scheme(driver, colours)
            width(driver, pixels, height, ratio)
            driver.get(address + path)
            time.sleep(1.0)
            asked = {"format": "webp", "quality": QUALITY}
            taken = driver.execute_cdp_cmd("Page.captureScreenshot", asked)["data"]
            out = PICTURES / f"{name}.webp"
            out.write_bytes(base64.b64decode(taken))
            print(f"{out.relative_to(ROOT)}: {out.stat().st_size // 1024} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
