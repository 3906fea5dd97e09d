"""axe-core on every page of the running demo, in both languages, light and dark, on a phone and on a desk,
everything open that can be opened: violations of WCAG 2.2 AA and of its good practices.

Installed by `tests/tools.sh` where there is npm. `make pages` asks the same of every page in every state.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.bench.bench_lighthouse import PAGES
from tests.bench.figures import Figure, at_least, at_most
from tests.running_demo import running_demo

sys.path.insert(0, str(Path(__file__).parents[1] / "status"))

from page_browser import AXE, against_wcag, chromium, scheme, width

LANGUAGES, COLOURS, WIDTHS = ("tr", "en"), ("light", "dark"), (390, 1280)


def run() -> list[Figure]:
    """Violations of all pages, and of one that is made wrong on purpose."""
    if not AXE.exists():
        raise FileNotFoundError("axe-core is not installed: tests/tools.sh, needs npm")
    found: dict[str, list[str]] = {}
    looks = [
        (page, language, colours, pixels)
        for page in PAGES
        for language in LANGUAGES
        for colours in COLOURS
        for pixels in WIDTHS
    ]
    with (
        running_demo() as address,
        tempfile.TemporaryDirectory() as profile,
        chromium(Path(profile)) as browser,
    ):
        for page, language, colours, pixels in looks:
            scheme(browser, colours)
            width(browser, pixels)
            browser.get(f"{address}{page}{'&' if '?' in page else '?'}lang={language}")
            if rules := [str(rule) for rule, *_ in against_wcag(browser)]:
                found[f"{page} {language} {colours} {pixels}"] = rules
        browser.execute_script("document.querySelector('main').append(document.createElement('img'))")
        control = len(against_wcag(browser))
    return [
        at_most(
            f"axe-core, {len(PAGES)} pages × tr, en × light, dark × phone, desk: violations",
            sum(map(len, found.values())),
            f"of {len(looks)} looks",
            0,
            "; ".join(f"`{look}` {', '.join(rules)}" for look, rules in found.items()),
        ),
        at_least("the control, a picture without a text: violations", control, "", 1),
    ]
