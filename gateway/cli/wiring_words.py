"""The words and the drawing of a wiring verdict, for a terminal of 60 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.cli.language import N_, _, locale
from gateway.cli.prose import width, wrapped
from gateway.commissioning.wiring import INPUTS, SILENT, WiringFinding, WiringVerdict

WIDTH: Final = 60
"""Columns that sentences have where there is no terminal that says how many it has."""

_FINDINGS: Final = {
    "reversed": N_(
        "{whose} transformer (current input {input}) is reversed: exchange its two wires S1/S2, or turn it "
        "round. Short-circuit its secondary first: open under load it has a deadly voltage."
    ),
    "other_phase": N_(
        "Current input {input} measures {conductor}, not L{input}: bring the transformer of L{input} to "
        "this input. Short-circuit its secondary first: open under load it has a deadly voltage."
    ),
    "import_export": N_(
        "All three inputs are reversed: import and export are mixed up, or this feeder delivers. "
        "Look at where the energy comes from before anything is changed."
    ),
    "phase_order": N_(
        "The voltages are in reversed sequence: the wires of voltage inputs {one} and {other} "
        "are exchanged, their transformers are not. Exchange the voltage wires."
    ),
    "missing_voltage": N_("Voltage input {input} has {volts:.0f} V: fuse, terminal or neutral is missing."),
    "zero_current": N_(
        "Current input {input} carries {amperes:.2g} A: no load, transformer short-circuited, or wire off."
    ),
    "ct_ratio": N_(
        "On input {input} the apparent power is {ratio:.3g} times U·I: a transformer ratio is in "
        "one of them only. Compare the meter's ratio with the plate."
    ),
    "swapped_meters": N_(
        "{part} shows {more:.3g} kW and {whole}, of which it is a part, only {less:.3g} kW: the two meters "
        "are exchanged, a transformer ratio is wrong, or parent: is. Compare the serial numbers on the "
        "cases. (Generation below {whole} that no meter measures looks the same.)"
    ),
    "unit": N_(
        "The powers are 1000 times U·I: they look like W, var and VA; the vocabulary has kW, kvar and kVA."
    ),
}
_SILENCE: Final = {
    "power": N_(
        "There are no values of active power with reactive power, apparent power or current on input {input}."
    ),
    "no_power": N_(
        "The active power is not recorded: a power factor without sign cannot tell reversed from right."
    ),
    "sign_of_p": N_(
        "No reactive power is recorded and the active power never had a sign: reversed and right look alike."
    ),
    "idle": N_("Input {input} carries no load."),
    "voltage": N_("Without its voltage nothing is known of input {input}."),
    "few": N_("Input {input} has too few moments with load."),
    "both_ways": N_(
        "On input {input} the power goes to and fro (generation?): record at a time when the building only "
        "draws."
    ),
    "ambiguous": N_(
        "Two readings fit. All transformers rotated by one and reversed look like another load: "
        "record when other loads run, or switch on a known load."
    ),
    "ambiguous_unsigned": N_(
        "More than one reading fits. The reactive power was never negative and may have no sign: "
        "record signed values if the meter has them, or switch on a known load."
    ),
}
_SAME: Final = {"idle": "zero_current", "voltage": "missing_voltage"}
"""Why nothing can be known of an input, and the finding that says so by itself."""
_HEADS: Final = {
    "right": N_("Wiring right, {percent} sure."),
    "wrong": N_("Wiring WRONG, {percent} sure."),
    "silent": N_("Cannot be known from these values."),
}
_LIKELIEST: Final = N_("Likeliest ({percent}):")
_LIKELY: Final = 0.5
"""Certainty from which it is worth saying what is likeliest, though it cannot be known."""
_MARKS: Final = (N_("not L{input}"), N_("reversed"), N_("right"), N_("voltage"), N_("current"))
_WHOSE: Final = {"L1": N_("L1's"), "L2": N_("L2's"), "L3": N_("L3's")}


def text(finding: WiringFinding) -> str:
    """A finding as a sentence with what to do, in the language of this run."""
    conductor = str(finding.facts.get("conductor", ""))
    genitive = _WHOSE.get(conductor, "")
    whose = _(genitive) if genitive else ""
    words = _SILENCE[str(finding.facts["why"])] if finding.kind == SILENT else _FINDINGS[finding.kind]
    return _(words).format(input=finding.input or "", whose=whose, **finding.facts)


def lines(verdict: WiringVerdict) -> Iterator[str]:
    """The verdict for a person: headline, sentences, and a drawing where there is something to draw."""
    kind = "silent" if not verdict.speaks else "right" if verdict.best == ["+L1", "+L2", "+L3"] else "wrong"
    head = _HEADS[kind]
    # Certain is never said: the model of loads may be wrong.
    percent = locale().percent(min(0.99, verdict.certainty))
    yield _(head).format(percent=percent)
    if not verdict.speaks and verdict.certainty >= _LIKELY:
        yield _(_LIKELIEST).format(percent=percent)
    if verdict.speaks or verdict.certainty >= _LIKELY:
        yield ""
        yield from _drawing(verdict.best)
    told = {(each.kind, each.input) for each in verdict.findings}
    for finding in verdict.findings:
        if (_SAME.get(str(finding.facts.get("why", ""))), finding.input) in told:
            continue
        yield ""
        yield from wrapped(text(finding), "• ", "  ", min(width(), WIDTH))


def _drawing(names: list[str]) -> Iterator[str]:
    """A line per input: the conductor on its voltage terminal, and the one that its transformer is on,
    with the direction of the arrow.
    """
    other, turned, good, voltage, current = map(_, _MARKS)
    for number, name in zip(INPUTS, names, strict=True):
        arrow = "──▶──" if name[0] == "+" else "──◀──"
        marks = [other.format(input=number)] if name[1:] != f"L{number}" else []
        marks += [turned] if name[0] == "-" else []
        yield (
            f"  {voltage} {number} = L{number}   {current} {number} {arrow} {name[1:]}   "
            f"{', '.join(marks) or good}"
        )
