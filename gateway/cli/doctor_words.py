"""What `submeter doctor` says: what was looked at, each cause with its evidence, the list of what to do."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import time
from typing import Any

from rich.progress import Progress

from gateway.cli import wiring_words
from gateway.cli.doctor_causes import ALIKE, CAUSES, EVIDENCE, FEATURES, OBSERVATIONS, STAGES, WHO
from gateway.cli.language import _, figure, in_words, locale
from gateway.cli.progress import progress_bar
from gateway.cli.prose import say
from gateway.commissioning.doctor import (
    Diagnosis,
    Evidence,
    ExaminedPart,
    LineProgress,
    Observation,
    worst_first,
)
from gateway.commissioning.wiring import WiringFinding
from gateway.errors import GatewayError

_EVERY = 15.0
"""s between two lines about the progress where there is no terminal."""
_TURN = 0.3
"""s between two changes of the line about the progress."""
_MOST_EVIDENCE = 4
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""Stands in a sentence for what was not found out: what was looked at in vain is told by its cause alone."""
_MARKS = {True: "✓ ", False: "✗ ", None: "? "}


class DoctorReport:
    """Words, or one JSON object, about the parts that are looked at."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._examined: list[ExaminedPart] = []
        self._troubles: list[tuple[str, GatewayError]] = []
        self._bar: Progress | None = None
        self._part = ""
        self._stage = ""
        self._told = 0.0
        self._ended = True

    # ---- while it looks

    def begin(self, part: str, place: int, count: int) -> None:
        """A part begins."""
        self._part = _part(part)
        self._told = time.monotonic()
        if sys.stderr.isatty():
            self._bar = progress_bar(max(1, count), width=8)
            self._bar.start()
            self._show(self._part, place)

    def progress(self, now: LineProgress) -> None:
        """Where a measurement of a bus is."""
        what = _(STAGES.get(now.stage, STAGES["reads"]))
        text = f"{self._part}: {what}" + (f" ({now.meter})" if now.meter else "")
        if now.left >= 1:
            text += _(", %(time)s left at most") % {"time": locale().span(now.left)}
        self._show(text, new=now.stage != self._stage)
        self._stage = now.stage

    def step(self, name: str) -> None:
        """Where the way to a platform is."""
        self._show(f"{self._part}: " + _(STAGES.get(name, STAGES["reads"])))

    def done(self, examined: ExaminedPart) -> None:
        """A part was looked at."""
        self._close()
        self._examined.append(examined)
        if not self._json:
            tell(examined)

    def trouble(self, part: str, error: GatewayError) -> None:
        """A part that could not be looked at."""
        self._close()
        self._troubles.append((part, error))
        say(in_words(f"{part}: {error}"), mark=_MARKS[None], err=self._json)

    def interrupted(self) -> None:
        """Somebody pressed Ctrl-C."""
        self._close()
        self._ended = False
        say(_("Ended early; what was found until then follows."), err=True)

    def end(self) -> int:
        """Everything is said; the exit code."""
        found = worst_first([each for examined in self._examined for each in examined.found])
        if self._json:
            self._print(found)
        else:
            self._conclude(found)
        blind = bool(self._troubles) or not self._ended or any(each.blind for each in self._examined)
        return 1 if found else 2 if blind else 0

    def _conclude(self, found: list[Diagnosis]) -> None:
        print()
        if not found:
            sound = self._ended and not self._troubles
            say(_("Nothing is wrong.") if sound else _("Nothing wrong was found in what could be looked at."))
            return
        say(_("What to do now:"))
        for number, each in enumerate(found, 1):
            about = f"{_part(each.part)}, {each.meter}" if each.meter else _part(each.part)
            who = WHO.get(str(each.facts.get("who", "")))
            say(f"{about}: {action(each)}" + (f" ({_(who)})" if who else ""), mark=f"{number}. ")

    def _print(self, found: list[Diagnosis]) -> None:
        answer = {
            "healthy": not found and self._ended and not self._troubles,
            "ended": self._ended,
            "looked_at": [
                {"part": seen.part, "what": seen.kind, "ok": seen.ok, "facts": seen.facts}
                for examined in self._examined
                for seen in examined.observations
            ],
            "found": [_as_dict(each) for each in found],
            "not_looked_at": [
                {"part": part, "error": error.message, "hint": error.hint} for part, error in self._troubles
            ],
        }
        print(json.dumps(answer, ensure_ascii=False))

    def _show(self, text: str, place: int | None = None, *, new: bool = False) -> None:
        """`place`: another part begins, its number; `new`: it has come to another thing."""
        now = time.monotonic()
        if self._bar is not None:
            task = self._bar.tasks[0]
            if place is not None:
                self._bar.update(task.id, completed=place)
            if place is not None or new or now - self._told >= _TURN:
                self._told = now
                self._bar.update(task.id, description=text)
        elif now - self._told >= _EVERY:
            self._told = now
            say(text, mark="… ", err=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def title(found: Diagnosis) -> str:
    """What is wrong, in a sentence."""
    if found.cause == "said":
        return in_words(str(found.facts["what"]))
    if "finding" in found.facts:
        return _of_wiring(found)
    return _filled(CAUSES[found.cause][0], found)


def action(found: Diagnosis) -> str:
    """What to do next, one thing."""
    if found.cause == "said":
        return in_words(str(found.facts["mend"])) or title(found)
    if "finding" in found.facts:
        return _of_wiring(found)
    return _filled(CAUSES[found.cause][1], found)


def apart(found: Diagnosis) -> str:
    """What tells it from the cause that looks alike; empty when none does."""
    if not found.rivals:
        return ""
    rival = found.rivals[0][0]
    test = ALIKE.get(frozenset((found.cause, rival)), "")
    other = _filled(CAUSES[rival][0], found)
    text = _("Cannot be told from: %(other)s") % {"other": other}
    return f"{text} {_(test)}".strip()


def evidence(found: Diagnosis) -> list[str]:
    """What bears it out, in sentences."""
    told = [_of_evidence(each, found) for each in found.evidence]
    return [text for text in dict.fromkeys(told) if text][:_MOST_EVIDENCE]


def _of_evidence(each: Evidence, found: Diagnosis) -> str:
    text = FEATURES.get(each.kind) or EVIDENCE.get(each.kind, "")
    return _(text) % _shown({**found.facts, **each.facts}) if text else ""


def _of_wiring(found: Diagnosis) -> str:
    facts = {name: value for name, value in found.facts.items() if name not in {"finding", "input"}}
    number = int(float(found.facts["input"])) or None
    return wiring_words.text(WiringFinding(str(found.facts["finding"]), number, facts))


def _filled(text: str, found: Diagnosis) -> str:
    return _(text) % _shown({"meter": found.meter, **found.facts})


class _Facts(dict[str, str]):
    """A sentence that needs what nobody knows says so instead of failing."""

    def __missing__(self, key: str) -> str:
        return _UNKNOWN


def _shown(facts: dict[str, str | float]) -> _Facts:
    """Facts as they stand in a sentence: shares in per cent, numbers with the marks of the language."""
    shown = _Facts()
    for name, value in facts.items():
        if isinstance(value, str):
            shown[name] = _in_words(value)
        elif name in _SHARES:
            shown[name] = locale().percent(value)
        else:
            shown[name] = figure(f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:.3g}")
    return shown


def _in_words(text: str) -> str:
    """A problem of a key is said without it, so that it is known by its own words."""
    key = _KEY.match(text)
    return f"{key[0]}{in_words(text.removeprefix(key[0]))}" if key else in_words(text)


_KEY = re.compile(r"[a-z_]+(\[\d+\])?(\.[a-z_]+(\[\d+\])?)+: ")
_WHOLE = 100
"""From here on no decimals."""


_SHARES = frozenset({"bad", "short_bad", "long_bad", "lead", "meter_bad"})


def tell(examined: ExaminedPart) -> None:
    """A part: what was looked at, and what is wrong."""
    say(_part(examined.part))
    for seen in examined.observations:
        if _UNKNOWN not in (text := _observation(seen)):
            say(text, "  ", _MARKS[seen.ok])
    for found in worst_first(examined.found):
        about = f"{found.meter}: " if found.meter else ""
        sure = "" if found.cause == "said" or found.certainty >= 1 else _sure(found)
        say(about + title(found).replace(_UNKNOWN, "?") + sure, "  ", "! ")
        for text in evidence(found):
            say(text, "    ", "· ")
        if text := apart(found):
            say(text, "    ", "? ")
        if action(found) != title(found):
            say(action(found), "    ", "→ ")


def _sure(found: Diagnosis) -> str:
    # Certain is never said: the table of likelihoods is a model.
    return _(" (%(percent)s sure)") % {"percent": locale().percent(min(0.99, found.certainty))}


def _observation(seen: Observation) -> str:
    return _(OBSERVATIONS[seen.kind]) % _shown(seen.facts)


def _part(part: str) -> str:
    kind, _space, name = part.partition(" ")
    words = {"machine": _("this machine"), "bus": _("bus %(name)s"), "uplink": _("uplink %(name)s")}
    return words.get(kind, part) % {"name": name} if kind in words else part


def _as_dict(found: Diagnosis) -> dict[str, Any]:
    return {
        "part": found.part,
        "meter": found.meter or None,
        "cause": found.cause,
        "certainty": round(found.certainty, 3),
        "severity": found.severity,
        "who": found.facts.get("who", "here"),
        "evidence": [dataclasses.asdict(each) for each in found.evidence],
        "alike": [cause for cause, _value in found.rivals],
        "facts": {name: value for name, value in found.facts.items() if name not in {"who", "mend", "what"}},
        "text": title(found),
        "action": action(found),
    }
