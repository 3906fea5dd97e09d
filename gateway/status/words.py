"""The closed sets of the snapshot in the visitor's words."""

from __future__ import annotations

from gateway.model import ATTRIBUTES, QUANTITIES
from gateway.status.language import Locale, usual_decimals
from gateway.status.snapshot import MeterView, ValueView

_MOST_DECIMALS = 3
_ORDER = {name: index for index, name in enumerate(QUANTITIES)}

HEADLINES = ("active_power", "heat_power", "dc_power", "volume_flow", "apparent_power")
"""What a meter is doing now: the first that it has."""
COUNTERS = ("active_energy_import", "active_energy_total", "heat_energy", "volume", "pulse_count", "active_energy_export")
"""What it has counted: the first that it has."""


class Words:
    """Labels and reasons in the language of one visitor."""

    def __init__(self, locale: Locale) -> None:
        self._locale = locale

    def quantity(self, name: str) -> str:
        """Its label; a name outside the vocabulary is shown as it is."""
        word = QUANTITIES.get(name)
        label = name if word is None else word.tr if self._locale.language == "tr" else word.en
        return label.replace("-", "\u2011")  # L1-N stays on one line

    def attribute(self, name: str) -> str:
        """Its label; a name outside the vocabulary is shown as it is."""
        word = ATTRIBUTES.get(name)
        return name if word is None else word.tr if self._locale.language == "tr" else word.en

    def amount(self, view: ValueView, *, short: bool = False) -> str:
        """The number with its unit, or a dash; `short` leaves out digits that nobody reads at a glance."""
        if view.value is None:
            return "–"
        word = QUANTITIES.get(view.quantity)
        counts = word is not None and word.kind == "counter"
        decimals = view.decimals if view.decimals is not None else 2 if counts else None
        if decimals is not None:
            decimals = min(decimals, _MOST_DECIMALS)
            if short and not counts:
                decimals = min(decimals, usual_decimals(view.value))
        text = self._locale.number(view.value, decimals)
        return f"{text}\u00a0{word.unit}" if word and word.unit else text

    def ordered(self, views: tuple[ValueView, ...]) -> list[ValueView]:
        """As in the vocabulary: powers, energies, then the rest; what it does not know comes last."""
        return sorted(views, key=lambda view: _ORDER.get(view.quantity, len(_ORDER)))

    def quality(self, view: ValueView) -> str:
        """How far a number may be believed, in a word."""
        _ = self._locale.gettext
        return {"good": _("good"), "suspect": _("doubtful"), "stale": _("old"), "absent": _("no value")}[view.quality]

    def reason(self, reason: str) -> str:
        """Why a value is absent."""
        _ = self._locale.gettext
        known = {
            "timeout": _("no answer"),
            "bad_frame": _("damaged answer"),
            "not_available": _("the meter does not have it now"),
            "implausible": _("not believable"),
        }
        if reason.startswith("exception_"):
            return _("the meter refuses it (code %(code)s)") % {"code": reason.removeprefix("exception_")}
        return known.get(reason, reason)

    def meter_state(self, meter: MeterView) -> str:
        """What the meter is doing, with the time when that began."""
        _ = self._locale.gettext
        since = self._locale.since(meter.since) if meter.since is not None else ""
        match meter.state:
            case "answering":
                return _("answers")
            case "partial":
                return _("answers in part")
            case "lost" if meter.age is None:
                return _("has not answered yet")
            case "lost":
                return _("no answer %(since)s") % {"since": since} if since else _("no answer")
            case "starting":
                return _("first poll is under way")
            case "disabled":
                return _("switched off in the configuration")

    def bus_state(self, state: str) -> str:
        """Whether the line stands."""
        _ = self._locale.gettext
        return {"idle": _("not used yet"), "open": _("open"), "down": _("cannot be opened")}.get(state, state)

    def uplink_state(self, state: str) -> str:
        """How the platform is reached."""
        _ = self._locale.gettext
        return {
            "idle": _("not used yet"),
            "connecting": _("connecting"),
            "connected": _("connected"),
            "waiting": _("not reachable"),
            "refused": _("refuses us"),
            "taken over": _("disturbed by another gateway"),
            "stopped": _("stopped"),
        }.get(state, state)

    def journal_state(self, state: str) -> str:
        """How the store is."""
        _ = self._locale.gettext
        return {
            "ok": _("in order"),
            "full": _("no room"),
            "salvaging": _("reading back a damaged file"),
            "failed": _("cannot be written"),
            "newer": _("written by a newer version"),
        }.get(state, state)

    def clock_source(self, source: str) -> str:
        """Whose word is taken for the time."""
        _ = self._locale.gettext
        return {"kernel": _("network time"), "rtc": _("hardware clock"), "system": _("system clock, unchecked")}.get(source, source)


def headline(meter: MeterView) -> ValueView | None:
    """The value that says what the meter measures now."""
    return _first(meter, HEADLINES)


def counter(meter: MeterView) -> ValueView | None:
    """The value that says what the meter has counted."""
    return _first(meter, COUNTERS)


def _first(meter: MeterView, names: tuple[str, ...]) -> ValueView | None:
    views = {view.quantity: view for view in meter.values}
    return next((views[name] for name in names if name in views), None)
