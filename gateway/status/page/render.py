"""HTML from a snapshot. Pure but for reading the templates once; runs in a worker thread."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from gateway.common.templates import templates
from gateway.status.energy.shown import MeterLately
from gateway.status.findings import Level
from gateway.status.page.chart import hour
from gateway.status.page.home import HomeEnergy, building_now
from gateway.status.page.overview import overview, single
from gateway.status.page.tables import tables
from gateway.status.screen.view import LobbyScreen
from gateway.status.snapshot import MeterView, Snapshot
from gateway.status.verdict import judge
from gateway.status.words import causes, leaves, notices, platforms, sentences
from gateway.status.words.errors import has_words, in_words
from gateway.status.words.labels import Words
from gateway.status.words.language import LANGUAGES, Locale, translation

HERE = Path(__file__).parent
NOTHING = HomeEnergy()
_UNKNOWN = MeterLately()
STATIC = {path.name: path.read_bytes() for path in sorted((HERE / "static").iterdir())}
"""Every file that the page loads: a few kB, kept in memory, so that no request touches the file system."""
_STAMPS = {name: hashlib.blake2b(body, digest_size=6).hexdigest() for name, body in STATIC.items()}


def _asset(name: str) -> str:
    return f"/static/{name}?v={_STAMPS[name]}"


_ENVIRONMENT = templates(HERE / "templates")
_ENVIRONMENT.globals.update(
    asset=_asset, languages=LANGUAGES, sentences=sentences, platforms=platforms, causes=causes
)


_TYPED = re.compile("`([^`]+)`")


class Visitor:
    """What a page depends on beside the snapshot: the language, whether it was asked for by name, and the
    path.
    """

    def __init__(self, language: str, path: str, *, asked: bool) -> None:
        self.language = language
        self.path = path
        self.asked = asked

    def url(self, path: str) -> str:
        """A link that keeps the language when the visitor chose it."""
        if not self.asked:
            return path
        address, mark, place = path.partition("#")
        return f"{address}{'&' if '?' in address else '?'}lang={self.language}{mark}{place}"

    @property
    def live(self) -> str:
        """Where this page's updates come from."""
        return f"/live{self.path}?lang={self.language}" + ("&keep=1" if self.asked else "")


class MarkedNames:
    """Marks the names that the configuration gives, in the gateway's own language, wherever a text has them,
    and what is to be typed, which stands between grave accents.

    A screen reader reads each in its language; on a page in that language nothing needs a mark.
    """

    def __init__(self, now: Snapshot, language: str) -> None:
        self._language = now.language
        given = {
            now.name,
            now.service[0],
            *(view.label for view in now.meters),
            *(view.label for view in now.buses),
            *(view.label for view in now.uplinks),
        }
        given |= {*(meter.feeds for meter in now.meters if meter.feeds)}
        given -= {"", *(meter.id for meter in now.meters)}
        # The longest first: a name may be the beginning of another one.
        words = [re.escape(name) for name in sorted(given, key=len, reverse=True)]
        self._known = (
            re.compile(rf"(?<!\w)({'|'.join(words)})(?!\w)") if words and language != now.language else None
        )

    def __call__(self, text: str) -> Markup:
        """The text as HTML."""
        if "`" not in text:
            return self._named(text)
        typed = Markup("<code>{}</code>")
        parts = enumerate(_TYPED.split(text))
        return Markup("").join(
            typed.format(part) if index % 2 else self._named(part) for index, part in parts
        )

    def _named(self, text: str) -> Markup:
        if self._known is None:
            return escape(text)
        marked = Markup('<span lang="{}">{}</span>')
        # `split` by a group gives text and name in turn.
        parts = enumerate(self._known.split(text))
        return Markup("").join(
            marked.format(self._language, part) if index % 2 else part for index, part in parts
        )


def title(page: str, language: str) -> str:
    """What a page is called beside the name of the building; the overview is called after that alone."""
    return translation(language).gettext("Technical details") if page == "system" else ""


def called(meter: MeterView, language: str) -> str:
    """What a meter is called, in the title of its page."""
    return Words(Locale(language, "UTC", 0)).called(meter)


def fragment(  # noqa: PLR0917 - what a page is made of
    page: str,
    now: Snapshot,
    visitor: Visitor,
    meter_id: str = "",
    points: Sequence[float | None] = (),
    energy: HomeEnergy = NOTHING,
    lately: MeterLately = _UNKNOWN,
) -> str:
    """The part of a page that lives: everything below the header. `page` is overview, meter or system,
    `points` a meter's last hour, `energy` what the overview says of it, `lately` what a meter counted and how
    it answered.
    """
    locale = Locale(visitor.language, now.timezone, now.taken)
    verdict = judge(now)
    known = notices.notices(verdict, now, locale)
    meter = now.meter(meter_id)
    context: dict[str, Any] = {
        "now": now,
        "f": locale,
        "w": Words(locale),
        "_": locale.gettext,
        "leaves": leaves,
        "reported": [
            line for at, line in enumerate(now.problems) if at < now.in_short or not has_words(line, locale)
        ],
        "url": visitor.url,
        "lang": visitor.language,
        "notices": [*energy.jobs, *lately.jobs, *known],
        "verdict": _with_jobs(notices.headline(verdict, now, locale), energy, len(known), locale),
        "meter": meter,
        "names": MarkedNames(now, visitor.language),
        # The picture changes once a minute: that is what its address says.
        "minute": now.booted // 60_000,
    }
    if meter is not None:
        context["bus"] = next((bus for bus in now.buses if bus.name == meter.bus), None)
        context |= {
            "line": single(meter, locale),
            "lately": lately,
            "tables": tables(meter, locale),
            "hour": hour(points, now.taken, locale, meter.interval),
        }
    elif page == "system":
        context["health"] = next(iter(tables(now.own, locale)), None) if now.own else None
    elif page == "overview":
        context["building"] = building_now(energy, now, locale)
        context["overview"] = overview(now, locale, led=context["building"] is not None)
        context["energy"] = energy
    return _ENVIRONMENT.get_template(f"{page}.html").render(context)


def _with_jobs(headline: notices.Notice, energy: HomeEnergy, others: int, f: Locale) -> notices.Notice:
    """No all-clear, and no lesser warning, while something waits that costs money or makes figures wrong."""
    if headline.level == "bad" or not energy.jobs:
        return headline
    number = len(energy.jobs) + others
    text = f.ngettext("One thing needs you.", "%(n)s things need you.", number)
    level: Level = "bad" if any(job.level == "bad" for job in energy.jobs) else "warn"
    return notices.Notice(level, text % {"n": number})


def _said(text: str, f: Locale) -> Markup:
    """What an error says; marked as English where it can only be said like that."""
    if has_words(text, f):
        return escape(in_words(text, f))
    return Markup('<span lang="en">{}</span>').format(text)


def whole(
    body: str, now: Snapshot, visitor: Visitor, title: str = "", *, live: bool = True, query: str = ""
) -> str:
    """A complete page around a fragment; `live`: it goes on by itself; `query` is kept by its links."""
    locale = Locale(visitor.language, now.timezone, now.taken)
    return _ENVIRONMENT.get_template("base.html").render(
        body=Markup(body),  # noqa: S704 - rendered above with autoescape
        now=now,
        f=locale,
        _=locale.gettext,
        visitor=visitor,
        url=visitor.url,
        title=title,
        live=live and bool(visitor.path),
        query=f"{query}&" if query else "",
        names=MarkedNames(now, visitor.language),
    )


def energy_page(view: str, shown: object, now: Snapshot, visitor: Visitor) -> str:
    """The body of a page of energy: `shown` is what its template asks for."""
    locale = Locale(visitor.language, now.timezone, now.taken)
    keep = f"&lang={visitor.language}" if visitor.asked else ""
    return _ENVIRONMENT.get_template(f"{view}.html").render(
        view=shown,
        service=now.service,
        f=locale,
        _=locale.gettext,
        url=visitor.url,
        link=lambda href: f"{href}{keep}",
        lang=visitor.language if visitor.asked else "",
        names=MarkedNames(now, visitor.language),
    )


def screen(shown: LobbyScreen, now: Snapshot) -> str:
    """The part of the lobby screen that lives."""
    return _ENVIRONMENT.get_template("screen_live.html").render(
        view=shown, now=now, names=MarkedNames(now, shown.language), made=_STAMPS["screen.css"]
    )


def whole_screen(body: str, now: Snapshot, language: str, *, fixed: bool) -> str:
    """The lobby screen, complete; `fixed`: the languages do not take turns."""
    return _ENVIRONMENT.get_template("screen.html").render(
        body=Markup(body),  # noqa: S704 - rendered above with autoescape
        now=now,
        language=language,
        fixed=fixed,
    )


def warning(text: str) -> str:
    """A line that stands above a page of energy."""
    return str(Markup('<p class="warn">{}</p>\n').format(text))  # plain, or what is added would be escaped


def no_history(title: str, text: str) -> str:
    """The body of a page of energy before anything is known."""
    return _ENVIRONMENT.get_template("no_history.html").render(title=title, text=text)


def problem(
    now: Snapshot, visitor: Visitor, status: int, said: tuple[str, str] | None = None, instead: str = ""
) -> str:
    """A page that says why there is none; `said`: in which words, and what to do; `instead`: the query of
    what can be meant.
    """
    locale = Locale(visitor.language, now.timezone, now.taken)
    _ = locale.gettext
    known = {404: _("There is no such page."), 503: _("Too many visitors at the moment. Please try again.")}
    text = known.get(status, _("This page cannot be shown."))
    hint = ""
    if said is not None:
        text, hint = (in_words(each, locale) for each in said)
    names = MarkedNames(now, visitor.language)
    body = _ENVIRONMENT.get_template("problem.html").render(
        _=_, url=visitor.url, text=text, hint=hint, names=names, instead=instead
    )
    return whole(body, now, Visitor(visitor.language, "", asked=visitor.asked), text)


def waiting(language: str, problems: Sequence[str]) -> str:
    """The page of a gateway that has no configuration yet; `problems`: why what is there cannot be used."""
    f = Locale(language, "UTC", 0)
    return _ENVIRONMENT.get_template("waiting.html").render(
        language=language,
        problems=[_said(problem, f) for problem in problems],
        _=f.gettext,
    )
