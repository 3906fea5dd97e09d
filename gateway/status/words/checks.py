"""What the checks of the engine found (docs/energy.md), in words: for the pages and for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from gateway.energy import base_unit
from gateway.model import QUANTITIES
from gateway.status.words.language import N_, Locale

if TYPE_CHECKING:
    from gateway.energy import Finding

SENTENCES: Final[Mapping[str, str]] = {
    "rollover": N_("the register rolled over from %(from)s to %(to)s, after %(modulus)s"),
    "assumed": N_("the register rolled over from %(from)s to %(to)s, after %(modulus)s as is assumed"),
    "reset": N_("the register began anew: %(to)s after %(from)s; what flowed between is not counted"),
    "returned": N_("the register was only away: %(to)s after %(from)s"),
    "swap": N_("another register from here on; the old one ended at %(closed)s"),
    "glitch": N_("one read of %(register)s beside %(before)s: dropped"),
    "negative_step": N_("the register ran backwards from %(from)s to %(to)s"),
    "impossible_rate": N_("the register gained more than can flow: %(from)s, then %(to)s"),
    "leap": N_("the register leapt from %(from)s to %(to)s and then went on as before"),
    "in_doubt": N_("%(to)s after %(from)s: not used until more readings tell what it is"),
    "frozen": N_("the register stood still though the power makes %(expected)s in a quarter hour"),
    "incoherent": N_("the register gained %(register)s in an hour, the power read makes %(power)s"),
    "spike": N_(
        "the highest quarter hour of the day, %(highest)s, is %(percent)s %% above the third highest"
    ),
    "unusual_day": N_("%(sum)s on this day, %(usual)s on days like it"),
    "sum": N_("the quarter hours of the day are %(apart)s apart from the register's %(register)s"),
    "jump": N_("%(value)s after %(before)s: %(percent)s %% more or less"),
    "gap": N_("no reading until %(until)s, %(failed_reads)s failed: %(shape)s"),
    "duplicate": N_("two readings of one time: %(kept)s is kept, %(dropped)s is not"),
    "out_of_order": N_("a reading older than the one before it: not used"),
    "resolution": N_(
        "the register moves in steps of %(step)s, which is more than a quarter hour brings: no figure is "
        "finer than that"
    ),
    "power_triangle": N_("active and reactive power are more than the apparent power says"),
    "sum_of_phases": N_("the phases do not add up to the power of the whole"),
    "power_factor": N_("the power is not the apparent power times the power factor"),
    "phase_power": N_("the power of a phase is not its voltage times its current times its power factor"),
    "voltage": N_("a voltage of %(value)s V, which should be 207 to 253 V"),
    "frequency": N_("a frequency of %(value)s Hz, which should be 49.5 to 50.5 Hz"),
    "unbalance": N_("the voltages of the phases are %(value)s %% apart, which should be 2 %% at most"),
    "wiring": N_("phase %(what)s works against the others, with a power factor of %(value)s"),
    "too_large": N_(
        "its current transformers were used to %(percent)s %% in a week at most: too large to measure well"
    ),
    "too_small": N_("its current transformers carried %(percent)s %% of what they are made for: too small"),
    "over_count": N_(
        "for three days the meters below it have counted more than came in through it, on this one by "
        "%(rest)s"
    ),
    "unmetered_load": N_(
        "for three days the meters below it have missed more than usual, on this one %(rest)s instead of "
        "%(usual)s: a load that no meter counts"
    ),
    "negative_use": N_(
        "grid and plants say that the building used less than nothing: by %(rest)s, in %(hours)s hours of "
        "the day"
    ),
    "transformer_ratio": N_(
        "it counts by another transformer ratio than the meter above it: factor %(factor)s (configured/"
        "installed: %(pairs)s)"
    ),
}
"""What each kind of finding says, or what a check looked at; amounts carry their unit."""
ACTIONS: Final[Mapping[str, str]] = {
    "reset": N_("If the meter was exchanged: submeter swap %(meter)s. Else look at the meter."),
    "impossible_rate": N_("Compare the meter's display with the page, and ct and vt with its transformers."),
    "leap": N_("If the meter was exchanged: submeter swap %(meter)s. Else look at the meter."),
    "incoherent": N_("Compare the meter's display with the page, and ct and vt with its transformers."),
    "identity": N_("Its table or its scale may be of another model: submeter drivers try --meter %(meter)s."),
    "wiring": N_("A transformer is on the wrong phase or turned round: submeter wiring %(meter)s."),
    "transformer_size": N_("Tell the maintenance firm: it needs other current transformers."),
    "over_count": N_(
        "Compare ct and vt of these meters with their transformers, and parent with the wiring."
    ),
    "unmetered_load": N_("Find what was connected, or give it a meter; a new sub meter needs its parent."),
    "negative_use": N_(
        "Compare ct and vt of grid and plant with their transformers, and yield with the plant."
    ),
    "transformer_ratio": N_("Compare ct of this meter with the plate of its transformers."),
}
"""What a technician does about those that do not pass by themselves."""
_SHAPES: Final = {"line": N_("a straight line"), "like_days": N_("the shape of like days")}
_BY_WHAT: Final = frozenset({"identity", "network", "transformer_size"})
"""Checks that look at several things."""
_TEXTS: Final = frozenset({"value", "percent", "factor"})
"""Facts that are numbers in text."""
_GRAIN_DIGITS: Final = 12


def sentence(
    finding: Finding,
    amount: Callable[[int], str],
    time: Callable[[int], str],
    number: Callable[[str], str],
    gettext: Callable[[str], str],
) -> str:
    """What a finding says, without a full stop. `amount` writes grains with their unit, `time` a moment (ms
    UTC), `number` what was written as English writes it.
    """
    try:
        words: dict[str, object] = {
            name: number(fact) if name in _TEXTS and isinstance(fact, str) else fact
            for name, fact in finding.facts.items()
        }
        # A rest that is too small is said to be less by so much.
        words |= {
            name: amount(abs(value) if name == "rest" else value) for name, value in finding.amounts.items()
        }
        if finding.kind == "wiring":
            words["what"] = str(words["what"]).replace("l", "L")
        if "until" in words:
            words["until"] = time(int(finding.facts["until"]))
        if "shape" in words:
            words["shape"] = gettext(_SHAPES[str(words["shape"])])
        return gettext(SENTENCES[_which(finding)]) % words
    except (KeyError, ValueError, TypeError):
        return finding.kind  # of another version


def _which(finding: Finding) -> str:
    if finding.kind in _BY_WHAT:
        return str(finding.facts["what"])
    return "assumed" if finding.facts.get("assumed") else finding.kind


def decimal_amount(grains: int, digits: int) -> str:
    """Grains of a base unit as a decimal of the unit that has so many digits more, all that there are of
    it.
    """
    text = f"{Decimal(f'{grains}E-{digits + _GRAIN_DIGITS}'):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def on_page(quantity: str, finding: Finding, f: Locale) -> str:
    """The sentence of a page, of a register or (where `quantity` is empty) of a meter: amounts have three
    digits behind the point at most.
    """
    digits = base_unit(quantity).digits if quantity else 0

    def amount(grains: int) -> str:
        value = round(Decimal(f"{grains}E-{digits + _GRAIN_DIGITS}"), 3)
        decimals = max(0, -int(value.normalize().as_tuple().exponent))
        return f"{f.number(float(value), decimals)} {QUANTITIES[quantity].unit or f.gettext('pulses')}"

    def number(text: str) -> str:
        return f.number(float(text), len(text.partition(".")[2]))

    return sentence(finding, amount, f.moment, number, f.gettext)
