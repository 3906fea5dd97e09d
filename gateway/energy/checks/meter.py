"""Checks on what a meter says of one moment (14, 17, 18, 19), on its intervals (7, 12, 15, 16 with the
tree) and on the clock (21). Pure functions that say what they saw, or None; `Plausibility` remembers what
was said.

Sources: identities of sinusoidal quantities; EN 50160 for voltage, frequency and unbalance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.energy.checks.register import Context, Finding

APART: Final = 0.03
"""Part by which identities may miss."""
LEAST: Final = 0.05
"""kVA below which the last digits of a meter are more than that."""
VOLTAGE: Final = (207.0, 253.0)
"""V between line and neutral, EN 50160: 230 V ± 10 %."""
LOW_VOLTAGE: Final = 400
"""V between lines where no voltage transformer raises it."""
FREQUENCY: Final = (49.5, 50.5)
UNBALANCE: Final = 2.0
"""Per cent; NEMA's definition: largest distance from the mean."""
LOW_FACTOR: Final = 0.55
"""Of a phase beside phases that are better: a transformer on another phase turns it by 120°."""
LOADED: Final = 0.05
"""Part of the transformer's primary current from which a phase is judged."""
LARGE: Final = 5
SMALL: Final = 120
"""Per cent of its primary current that a transformer never reaches (too large), or passes (too small)."""
DAY: Final = 86_400_000
WEEK: Final = 7 * DAY
PERSIST: Final = 5
"""Readings in a row that must say the same."""
SLACK: Final = 2_000
"""ms that a reading may be younger than the moment in which it is looked at."""
JUMP: Final = 5
"""Times the last valid interval; a site may have its own."""
_PHASE_KV: Final = 0.23
_PHASES: Final = ("l1", "l2", "l3")
_POWERS, _CURRENTS, _VOLTAGES = (
    tuple(text % phase for phase in _PHASES) for text in ("active_power_%s", "current_%s", "voltage_%sn")
)
_FACTORS: Final = tuple(f"power_factor_{phase}" for phase in _PHASES)
_ELECTRIC: Final = tuple(zip(_CURRENTS, _POWERS, _VOLTAGES, strict=True))
_WITH_FACTOR: Final = tuple(zip(_CURRENTS, _POWERS, _VOLTAGES, _FACTORS, strict=True))


def identities(values: Mapping[str, float], least: float = LEAST) -> tuple[str, float] | None:
    """Check 14: which identity misses by more than 3 % of S, and by how much; from `least` kVA on.

    S² = P² + Q²; ΣP of the phases = P; P = S·PF; of each phase P = U·I·PF.
    """
    get = values.get
    if _FACTORS[0] in values and (phase := _phase_power(values, least)) is not None:
        return phase
    p, q, s = get("active_power"), get("reactive_power"), get("apparent_power")
    if s is None or s < least or p is None:
        return None
    # Harmonics make S larger than P and Q say, never smaller.
    if q is not None and (miss := (p * p + q * q - s * s) / (s * s)) > APART:
        return "power_triangle", miss
    phases = [values[name] for name in _POWERS if name in values]
    if len(phases) == len(_POWERS) and (miss := abs(sum(phases) - p) / s) > APART:
        return "sum_of_phases", miss
    factor = get("power_factor")
    if factor is not None and (miss := abs(abs(p) - s * abs(factor)) / s) > APART:
        return "power_factor", miss
    return None


def _phase_power(values: Mapping[str, float], least: float) -> tuple[str, float] | None:
    """The phase whose power is not its voltage times current times factor, by more than 3 % of U·I."""
    for current, power, voltage, factor in _WITH_FACTOR:
        amps, kw, volt, pf = values.get(current), values.get(power), values.get(voltage), values.get(factor)
        if amps is None or kw is None or volt is None or pf is None:
            continue
        kva = abs(volt * amps) / 1000
        if kva >= least and (miss := abs(abs(kw) - kva * abs(pf)) / kva) > APART:
            return "phase_power", miss
    return None


def network(values: Mapping[str, float], *, low_voltage: bool = True) -> tuple[str, float] | None:
    """Check 19: what of the network is out of EN 50160: a voltage, the frequency, the unbalance; with its
    value. What medium voltage is agreed on nobody has said: there no voltage is judged by itself.
    """
    low, high = VOLTAGE
    volts = [values[name] for name in _VOLTAGES if name in values]
    if low_voltage:
        for volt in volts:
            if volt and not low <= volt <= high:
                return "voltage", volt
    low, high = FREQUENCY
    frequency = values.get("frequency")
    if frequency and not low <= frequency <= high:
        return "frequency", frequency
    if len(volts) == len(_PHASES) and all(volts):
        mean = sum(volts) / 3
        unbalance = max(abs(volt - mean) for volt in volts) * 100 / mean
        if unbalance > UNBALANCE:
            return "unbalance", unbalance
    return None


def wiring(values: Mapping[str, float], primary: float | None) -> tuple[str, float] | None:
    """Check 18: a phase that gives while others draw, or whose factor is below 0.55 while another's is
    above 0.8.

    Only phases with 5 % of the primary current (0.25 A where it is not known). `submeter wiring` says what
    is wrong.
    """
    least = LOADED * (primary or 5.0)
    factors: list[float] = []
    for current, power, voltage in _ELECTRIC:
        amps, kw, volt = values.get(current), values.get(power), values.get(voltage)
        if amps is None or kw is None or not volt or abs(amps) < least:
            return None
        factors.append(kw * 1000 / (abs(amps) * volt))
    worst = min(factors)
    if worst < LOW_FACTOR and max(factors) > 0.8:
        return _PHASES[factors.index(worst)], worst
    return None


def _digits(value: float) -> str:
    """Three digits that count, and no exponent."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def transformer_size(highest: float, primary: float, least: float | None = None) -> tuple[str, float] | None:
    """Check 17, by a week's highest current: too_large below 5 % of the primary, too_small above 120 %; per
    cent. `least`: the primary is not known, but lies between this and `primary`.
    """
    share = highest * 100 / (least or primary)
    if share < LARGE:
        return "too_large", share
    share = highest * 100 / primary
    return ("too_small", share) if share > SMALL else None


def jump(value: int, valid: int, times: int = JUMP) -> int | None:
    """Check 7: per cent by which an interval is above the last valid one, when by more than `times` of it."""
    if valid <= 0 or abs(value - valid) <= times * valid:
        return None
    return abs(value - valid) * 100 // valid


def sum_apart(intervals: Sequence[int], first: int, last: int, step: int) -> int | None:
    """Check 12: how far a run of intervals is from the difference of the register (grains) at its ends,
    when by more than two of its steps; None: it adds up.
    """
    apart = sum(intervals) - (last - first)
    return apart if abs(apart) > 2 * step else None


def from_future(t: int, now: int) -> int | None:
    """Check 21: ms by which a reading is younger than `now`, when by more than 2 s; None: it can be. That the
    clock was moved or is not right `clock_step` and `clock_unsynced` tell (gateway.host).
    """
    return t - now if t > now + SLACK else None


class Plausibility:
    """What is wrong with one meter: said when five readings in a row show it, and again only after it was
    right.
    """

    def __init__(
        self, primary: float | None = None, least: float | None = None, *, low_voltage: bool = True
    ) -> None:
        """`primary`: of its current transformers, A; None: it has none, or it is not known. `least`: it lies
        between this and `primary`. `low_voltage`: it has no voltage transformers.
        """
        self._primary, self._least = primary, least
        self._low_voltage = low_voltage
        self.smallest = max(LEAST, LOADED * (primary or 0.0) * _PHASE_KV)
        """KVA from which on identities are judged, and a phase is."""
        self._runs: dict[str, int] = {}
        self._week: int | None = None
        self._highest = 0.0

    @classmethod
    def of(cls, context: Context) -> Plausibility:
        """Of the meter of which this is known."""
        return cls(context.ct_primary, context.ct_least, low_voltage=context.voltage <= LOW_VOLTAGE)

    def take(self, t: int, values: Mapping[str, float], *, may_feed_in: bool = False) -> Iterator[Finding]:
        """Take in what was read at `t` (ms UTC). `may_feed_in`: a plant behind it gives, so that a phase that
        gives while others draw says nothing of the wiring.
        """
        for kind, flaw in (
            ("identity", identities(values, self.smallest)),
            ("network", network(values, low_voltage=self._low_voltage)),
            ("wiring", wiring(values, self._primary)),
        ):
            if may_feed_in and kind == "wiring":
                continue
            if flaw is None:
                self._runs.pop(kind, None)
                continue
            run = self._runs[kind] = self._runs.get(kind, 0) + 1
            if run == PERSIST:
                what, how = flaw
                yield Finding(kind, t, {}, {"what": what, "value": _digits(how)})
        amps = [abs(values[name]) for name in _CURRENTS if name in values]
        if amps and self._primary:
            yield from self._size(t, max(amps), self._primary)

    @property
    def lasting(self) -> list[str]:
        """Kinds of what was said and is still so."""
        return [kind for kind, run in self._runs.items() if run >= PERSIST]

    def tell_again(self) -> None:
        """What is so is said once more."""
        self._runs.clear()

    def _size(self, t: int, amps: float, primary: float) -> Iterator[Finding]:
        week = t // WEEK
        if self._week is None or week != abs(self._week):
            # A week of which the first day was not seen says nothing: it is kept as negative.
            flaw = transformer_size(self._highest, primary, self._least) if (self._week or 0) > 0 else None
            if flaw is not None:
                what, share = flaw
                yield Finding("transformer_size", t, {}, {"what": what, "percent": _digits(share)})
            self._highest = 0.0
            self._week = week if t % WEEK < DAY else -week
        self._highest = max(self._highest, amps)

    def state(self) -> list[Any]:
        """As JSON values."""
        return [self._runs, self._week, self._highest]

    def restore(self, state: list[Any]) -> None:
        """Know what `state` gave."""
        self._runs, self._week, self._highest = state
