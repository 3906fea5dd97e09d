"""Page, API, metrics and control socket: what they show, and its words. It never writes.

Only the facts are loaded with this face: nothing else is needed before the first poll. Verdict, words, page
and control socket are loaded when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.common.on_demand import on_demand
from gateway.status.energy.facts import EnergyHistory
from gateway.status.snapshot import (
    Beat,
    BusView,
    ClockView,
    FactView,
    JournalView,
    MeterState,
    MeterView,
    RemoteView,
    Snapshot,
    UpgradeView,
    UplinkState,
    UplinkView,
    ValueView,
)
from gateway.status.source import Changes, Source
from gateway.status.trend import Trend

if TYPE_CHECKING:
    from gateway.status.api import as_json, from_json
    from gateway.status.control.actions import Actions
    from gateway.status.control.app import create_control
    from gateway.status.page.app import create_page
    from gateway.status.page.guard import Guard
    from gateway.status.server import ControlServer, PageServer
    from gateway.status.servers import Servers
    from gateway.status.technician.window import WINDOW_SECONDS, TechnicianDesk, TechnicianWindow
    from gateway.status.verdict import judge
    from gateway.status.waiting import create_waiting
    from gateway.status.words import checks, notices, sentences
    from gateway.status.words.errors import has_words, in_words
    from gateway.status.words.labels import Words
    from gateway.status.words.language import DOMAIN, LANGUAGES, LOCALES, Locale, choose, translation
    from gateway.status.words.meter_notices import mend_missing

_HOMES = {
    "mend_missing": "words.meter_notices",
    "WINDOW_SECONDS": "technician.window",
    "TechnicianDesk": "technician.window",
    "TechnicianWindow": "technician.window",
    "as_json": "api",
    "from_json": "api",
    "judge": "verdict",
    "ControlServer": "server",
    "PageServer": "server",
    "Guard": "page.guard",
    "choose": "words.language",
    "LANGUAGES": "words.language",
    "Servers": "servers",
    "create_control": "control.app",
    "Actions": "control.actions",
    "create_page": "page.app",
    "create_waiting": "waiting",
    "Words": "words.labels",
    "has_words": "words.errors",
    "in_words": "words.errors",
    "Locale": "words.language",
    "translation": "words.language",
    "DOMAIN": "words.language",
    "LOCALES": "words.language",
}
_MODULES = {"checks": "words.checks", "notices": "words.notices", "sentences": "words.sentences"}

__all__ = [
    "DOMAIN",
    "LANGUAGES",
    "LOCALES",
    "WINDOW_SECONDS",
    "Actions",
    "Beat",
    "BusView",
    "Changes",
    "ClockView",
    "ControlServer",
    "EnergyHistory",
    "FactView",
    "Guard",
    "JournalView",
    "Locale",
    "MeterState",
    "MeterView",
    "PageServer",
    "RemoteView",
    "Servers",
    "Snapshot",
    "Source",
    "TechnicianDesk",
    "TechnicianWindow",
    "Trend",
    "UpgradeView",
    "UplinkState",
    "UplinkView",
    "ValueView",
    "Words",
    "as_json",
    "checks",
    "choose",
    "create_control",
    "create_page",
    "create_waiting",
    "from_json",
    "has_words",
    "in_words",
    "judge",
    "mend_missing",
    "notices",
    "sentences",
    "translation",
]

if not TYPE_CHECKING:
    __getattr__ = on_demand(globals(), __name__, _HOMES, _MODULES)
