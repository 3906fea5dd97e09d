"""HTML from a snapshot. Pure but for reading the templates once; runs in a worker thread."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gateway.status import notices, platforms, sentences
from gateway.status.language import LANGUAGES, Locale
from gateway.status.snapshot import Snapshot
from gateway.status.verdict import judge
from gateway.status.words import Words, counter, headline

HERE = Path(__file__).parent
STATIC = {path.name: path.read_bytes() for path in sorted((HERE / "static").iterdir())}
"""Every file that the page loads: a few kB, kept in memory, so that no request touches the file system."""
_STAMPS = {name: hashlib.blake2b(body, digest_size=6).hexdigest() for name, body in STATIC.items()}

PAGES = ("overview", "meter", "system")


def _asset(name: str) -> str:
    return f"/static/{name}?v={_STAMPS[name]}"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals.update(asset=_asset, languages=LANGUAGES, sentences=sentences, platforms=platforms, headline=headline, counter=counter)


class Visitor:
    """What a page depends on beside the snapshot: the language, whether it was asked for by name, and the path."""

    def __init__(self, language: str, path: str, *, asked: bool) -> None:
        self.language = language
        self.path = path
        self.asked = asked

    def url(self, path: str) -> str:
        """A link that keeps the language when the visitor chose it."""
        return f"{path}?lang={self.language}" if self.asked else path

    @property
    def live(self) -> str:
        """Where this page's updates come from."""
        return f"/live{self.path}?lang={self.language}" + ("&keep=1" if self.asked else "")


def fragment(page: str, now: Snapshot, visitor: Visitor, meter_id: str = "") -> str:
    """The part of a page that lives: everything below the header. `page` is one of PAGES."""
    locale = Locale(visitor.language, now.timezone, now.taken)
    verdict = judge(now)
    context: dict[str, Any] = {
        "now": now,
        "f": locale,
        "w": Words(locale),
        "_": locale.gettext,
        "url": visitor.url,
        "lang": visitor.language,
        "notices": notices.notices(verdict, now, locale),
        "verdict": notices.headline(verdict, now, locale),
        "meter": now.meter(meter_id),
        # The picture changes once a minute: that is what its address says.
        "minute": now.booted // 60_000,
    }
    return _ENVIRONMENT.get_template(f"{page}.html").render(context)


def whole(body: str, now: Snapshot, visitor: Visitor, title: str = "") -> str:
    """A complete page around a fragment."""
    locale = Locale(visitor.language, now.timezone, now.taken)
    return _ENVIRONMENT.get_template("base.html").render(
        body=Markup(body),  # noqa: S704 - rendered above with autoescape
        now=now,
        f=locale,
        _=locale.gettext,
        visitor=visitor,
        url=visitor.url,
        title=title,
    )


def problem(now: Snapshot, visitor: Visitor, status: int) -> str:
    """A page that says why there is none."""
    locale = Locale(visitor.language, now.timezone, now.taken)
    _ = locale.gettext
    known = {404: _("There is no such page."), 503: _("Too many visitors at the moment. Please try again.")}
    text = known.get(status, _("This page cannot be shown."))
    body = _ENVIRONMENT.get_template("problem.html").render(_=_, url=visitor.url, text=text)
    return whole(body, now, Visitor(visitor.language, "", asked=visitor.asked), text)
