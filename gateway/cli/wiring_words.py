"""The words and the drawing of a wiring verdict, for a terminal of 60 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.cli.language import N_, _
from gateway.cli.prose import width, wrapped
from gateway.commissioning.wiring import INPUTS
from gateway.commissioning.wiring_verdict import SILENT, Finding, Verdict

WIDTH: Final = 60
"""Columns that sentences have where there is no terminal that says how many it has."""

_FINDINGS: Final = {
    "reversed": N_(
        "The transformer on current input {input} ({conductor}) is reversed: exchange its two "
        "wires S1/S2, or turn it round."
    ),
    "other_phase": N_(
        "Current input {input} measures {conductor}, not L{input}: bring the transformer of "
        "L{input} to this input."
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
        "Current input {input} carries {amperes:.2g} A: no load, transformer short-circuited, or "
        "wire off."
    ),
    "ct_ratio": N_(
        "On input {input} the apparent power is {ratio:.3g} times U·I: a transformer ratio is in "
        "one of them only. Compare the meter's ratio with the plate."
    ),
    "unit": N_(
        "The powers are 1000 times U·I: they look like W, var and VA; the vocabulary has kW, "
        "kvar and kVA."
    ),
}
_SILENCE: Final = {
    "power": N_(
        "There are no values of active power with reactive power, apparent power or current on "
        "input {input}."
    ),
    "no_power": N_(
        "The active power is not recorded: a power factor without sign cannot tell reversed from "
        "right."
    ),
    "sign_of_p": N_(
        "No reactive power is recorded and the active power never had a sign: reversed and right "
        "look alike."
    ),
    "idle": N_("Input {input} carries no load."),
    "voltage": N_("Without its voltage nothing is known of input {input}."),
    "few": N_("Input {input} has too few moments with load."),
    "both_ways": N_(
        "On input {input} the power goes to and fro (generation?): record at a time when the "
        "building only draws."
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
_HEADS: Final = {
    "right": N_("Wiring right, {percent} % sure."),
    "wrong": N_("Wiring WRONG, {percent} % sure."),
    "silent": N_("Cannot be known from these values. Likeliest ({percent} %):"),
    "voltage": N_("voltage"),
    "current": N_("current"),
    "good": N_("right"),
    "reversed": N_("reversed"),
    "other_phase": N_("not L{input}"),
}
_OF: Final = {"L1": "in", "L2": "nin", "L3": "ün"}
"""The Turkish genitive of a conductor's name."""


def text(finding: Finding) -> str:
    """A finding as a sentence with what to do, in the language of this run."""
    facts = {"input": finding.input or "", **finding.facts}
    words = _SILENCE[str(finding.facts["why"])] if finding.kind == SILENT else _FINDINGS[finding.kind]
    return _(words).format(**facts, nin=_OF.get(str(facts.get("conductor")), ""))


def lines(verdict: Verdict) -> Iterator[str]:
    """The verdict for a person: headline, drawing, sentences."""
    kind = "silent" if not verdict.speaks else "right" if verdict.best == ["+L1", "+L2", "+L3"] else "wrong"
    # Certain is never said: the model of loads may be wrong.
    yield _(_HEADS[kind]).format(percent=min(99, int(100 * verdict.certainty)))
    yield ""
    yield from _drawing(verdict.best)
    for finding in verdict.findings:
        yield ""
        yield from wrapped(text(finding), "• ", "  ", min(width(), WIDTH))


def _drawing(names: list[str]) -> Iterator[str]:
    """A line per input: the conductor on its voltage terminal, and the one that its transformer is on, with the direction of the arrow."""
    for number, name in zip(INPUTS, names, strict=True):
        arrow = "──▶──" if name[0] == "+" else "──◀──"
        marks = [_(_HEADS["other_phase"]).format(input=number)] if name[1:] != f"L{number}" else []
        marks += [_(_HEADS["reversed"])] if name[0] == "-" else []
        verdict = ", ".join(marks) or _(_HEADS["good"])
        yield f"  {_(_HEADS['voltage'])} {number} = L{number}   {_(_HEADS['current'])} {number} {arrow} {name[1:]}   {verdict}"
