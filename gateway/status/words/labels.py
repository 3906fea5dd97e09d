"""The closed sets of the snapshot in the visitor's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.model import ATTRIBUTES, NOT_READY, OWN_METER, QUANTITIES
from gateway.status.findings import why_lost
from gateway.status.snapshot import ClockView, MeterView, UplinkView, ValueView
from gateway.status.words.language import N_, Locale, usual_decimals
from gateway.status.words.platforms import OURS

_FEW = 3
_MOST_DECIMALS = 3
_TEN, _THOUSAND = 10, 1000
_FINE = {"power_factor": 3, "displacement_factor": 3, "frequency": 2, "volume": 3, "pulse_count": 0}
"""Digits that count however large the number is, also of a quantity's phases."""


LOST_WORDS: dict[str, str] = {
    "meter_silent": N_("no answer"),
    "meter_damaged": N_("its answers arrive damaged"),
    "meter_refusing": N_("it refuses every question"),
    "meter_not_ready": N_("it answers that it is busy, or not ready yet"),
    "meter_failing": N_("it answers that it has a fault of its own"),
    "meter_unreachable": N_("its converter cannot reach it"),
}
"""A meter that gives nothing: what of it, since when stands behind it."""

HEADLINES = ("active_power", "heat_power", "dc_power", "volume_flow", "apparent_power")
"""What a meter is doing now: the first that it has."""
COUNTERS = (
    "active_energy_import",
    "active_energy_total",
    "heat_energy",
    "cooling_energy",
    "volume",
    "pulse_count",
    "active_energy_export",
)
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

    def some(self, names: Sequence[str]) -> str:
        """Enough of their labels to recognise what it is about."""
        return ", ".join(map(self.quantity, names[:_FEW])) + ("…" if len(names) > _FEW else "")

    def called(self, meter: MeterView) -> str:
        """What a person calls it."""
        return self._locale.gettext("The gateway itself") if meter.id == OWN_METER else meter.label

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

    def register(self, meter: MeterView, view: ValueView) -> str:
        """What the number is that a meter has counted, as its bill or its display calls it."""
        _ = self._locale.gettext
        if view.quantity == "active_energy_import":
            return _("Energy drawn") if gives(meter) else _("Meter reading")
        if view.quantity == "active_energy_export":
            return _("Energy given")
        return self.quantity(view.quantity)

    def way(self, meter: MeterView, decimals: int) -> str:
        """Which way active power flows now, where that is not a matter of course; empty where it is, or is
        not known.

        The sign is the meter's own: import is positive. `decimals` are those that are shown.
        """
        _ = self._locale.gettext
        view = meter.value("active_power")
        if view is None or view.value is None or view.quality not in {"good", "suspect"} or meter.missing:
            return ""
        shown = round(view.value, decimals)
        if shown < 0:
            return _("gives")
        if not gives(meter):
            return ""
        return _("draws") if shown > 0 else _("gives nothing now")

    def number(self, view: ValueView, decimals: int) -> str:
        """The number alone, with so many digits at most as its table has; a dash when there is none."""
        if view.value is None:
            return "–"
        if view.quantity == "undervoltage":
            return self._locale.gettext("yes") if view.value else self._locale.gettext("no")
        return self._locale.number(
            view.value, decimals if view.decimals is None else min(decimals, view.decimals)
        )

    def quality(self, view: ValueView) -> str:
        """How far a number may be believed, in a word."""
        _ = self._locale.gettext
        return {"good": _("good"), "suspect": _("doubtful"), "stale": _("old"), "absent": _("no value")}[
            view.quality
        ]

    def reason(self, reason: str, quantity: str = "") -> str:
        """Why a value is absent; `quantity` says of what, where that matters."""
        _ = self._locale.gettext
        if reason == "not_available" and quantity in QUANTITIES and QUANTITIES[quantity].own:
            return _("not known here")
        known = {
            "timeout": _("no answer"),
            "bad_frame": _("damaged answer"),
            "not_available": _("the meter does not have it now"),
            "implausible": _("out of bounds"),
        }
        if reason in NOT_READY:
            return _("the meter is busy, or not ready yet (code %(code)s)") % {"code": reason[-1]}
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
            case "lost" if (cause := why_lost(meter)) in LOST_WORDS and cause != "meter_silent":
                what = _(LOST_WORDS[cause])
                return _("%(what)s %(since)s") % {"what": what, "since": since} if since else what
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
        return {
            "idle": _("not used yet"),
            "open": _("open"),
            "down": _("cannot be opened"),
            "lent": _("lent to a command on this gateway"),
        }.get(state, state)

    def uplink_state(self, view: UplinkView) -> str:
        """How the platform is reached."""
        _, state = self._locale.gettext, view.state
        if state == "waiting" and view.protocol:
            return _("connection lost, tried again")
        if state == "refused" and view.cause in OURS:
            return _("no connection")
        if state == "taken over" and view.cause == "taken_over_perhaps":
            return _("disturbed, perhaps by another gateway")
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
        """The state of the journal in the visitor's words."""
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
        known = {
            "kernel": _("network time"),
            "rtc": _("hardware clock"),
            "system": _("system clock, which nothing confirms"),
        }
        return known.get(source, source)

    def clock(self, view: ClockView) -> str:
        """How the time is known."""
        _ = self._locale.gettext
        if not view.synced:
            return _("not set")
        if view.source == "system":
            return _("as the system clock says; nothing confirms it")
        return _("right, by the %(source)s") % {"source": self.clock_source(view.source)}


def headline(meter: MeterView) -> ValueView | None:
    """The value that says what the meter measures now."""
    return _first(meter, HEADLINES)


def counter(meter: MeterView) -> ValueView | None:
    """The value that says what the meter has counted: of one that gives, what it gave."""
    return _first(meter, ("active_energy_export", *COUNTERS) if gives(meter) else COUNTERS)


def gives(meter: MeterView) -> bool:
    """Whether it hangs at a source, as far as it says so itself: inputs of direct current, or more given than
    drawn.

    Nothing is concluded from a name. A meter that was wired the other way round counts as it was wired.
    """
    if any(view.quantity.startswith("dc_") for view in meter.values):
        return True
    given, drawn = meter.value("active_energy_export"), meter.value("active_energy_import")
    if given is None or given.value is None:
        return False
    return drawn is None or (drawn.value is not None and given.value > drawn.value)


def common_decimals(views: Iterable[ValueView]) -> int:
    """Digits after the point for numbers that stand in one column: as many as their largest needs, none
    that a table does not have.
    """
    shown = [view for view in views if view.value is not None]
    if not shown:
        return 0
    largest = max(abs(view.value or 0.0) for view in shown)
    word = QUANTITIES.get(shown[0].quantity)
    fine = next(
        (
            digits
            for name, digits in _FINE.items()
            if word is not None and word.name.removesuffix(f"_{word.phase}") == name
        ),
        None,
    )
    if fine is not None:
        useful = fine
    elif word is not None and word.kind == "counter":
        useful = 1 if largest >= _THOUSAND else 2
    elif largest >= _TEN or not largest:
        useful = 1
    else:
        useful = 3 if largest < 1 else 2
    known = [view.decimals for view in shown if view.decimals is not None]
    return min([useful, *known])


def _first(meter: MeterView, names: tuple[str, ...]) -> ValueView | None:
    views = {view.quantity: view for view in meter.values}
    return next((views[name] for name in names if name in views), None)
