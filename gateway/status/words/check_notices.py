"""What the checks of the engine found lately, in the visitor's words: what somebody should see to, and of a
meter all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.status.words.checks import ACTIONS, on_page
from gateway.status.words.labels import Words
from gateway.status.words.language import Locale
from gateway.status.words.notices import Notice

if TYPE_CHECKING:
    from gateway.energy import Finding, KeptFinding

_DAY: Final = 86_400_000
_FRESH: Final = {
    "wiring": _DAY,
    "identity": _DAY,
    "incoherent": _DAY,
    "over_count": 2 * _DAY,
    "unmetered_load": 2 * _DAY,
    "negative_use": 2 * _DAY,
    "transformer_ratio": 2 * _DAY,
}
"""ms since it was so last for which it is told. It is found again as long as it lasts."""
_EVENT: Final = 8 * _DAY
"""The same of what happens once, or is looked at once a week."""
_ENDS: Final = frozenset({"swap", "returned"})
"""What explains a register that began anew or leapt before."""
_ROWS: Final = 12


def jobs(findings: Sequence[KeptFinding], labels: Mapping[str, str], now: int, f: Locale) -> list[Notice]:
    """What makes the figures of meters wrong, by their labels, until somebody sees to it. `now`: ms UTC."""
    newest: dict[tuple[str, str], KeptFinding] = {}
    for each in findings:  # the newest one is the last one
        if each.finding.kind in ACTIONS and _matters(each.finding) and _is_so(each, findings, now):
            newest[each.meter, each.finding.kind] = each
    found = []
    for (meter, kind), each in newest.items():
        if meter in labels:
            text = f"{labels[meter]}: {on_page(each.quantity, each.finding, f)}."
            action = f.gettext(ACTIONS[kind]) % {"meter": meter}
            found.append(Notice("warn", text, action, f"/meter/{meter}"))
    return found


def _matters(finding: Finding) -> bool:
    """Too large transformers measure badly; but a circuit may rest for weeks: the meter's page tells it."""
    return finding.facts.get("what") != "too_large"


def _is_so(one: KeptFinding, findings: Sequence[KeptFinding], now: int) -> bool:
    if one.seen < now - _FRESH.get(one.finding.kind, _EVENT):
        return False
    return one.finding.kind not in {"reset", "leap"} or not any(
        (each.meter, each.quantity) == (one.meter, one.quantity)
        and each.finding.kind in _ENDS
        and each.finding.t >= one.finding.t
        for each in findings
    )


def of_meter(findings: Sequence[KeptFinding], meter: str, f: Locale) -> tuple[tuple[str, str, str], ...]:
    """When, of which register and what, the newest first."""
    names = Words(f)
    mine = sorted((each for each in findings if each.meter == meter), key=lambda each: -each.finding.t)
    return tuple(
        (
            f.moment(each.finding.t),
            names.quantity(each.quantity) if each.quantity else "",
            on_page(each.quantity, each.finding, f),
        )
        for each in mine[:_ROWS]
    )
