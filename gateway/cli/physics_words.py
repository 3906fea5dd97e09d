"""What physics says of a meter's values, shown alike wherever a meter is read, and what to try."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.cli.language import _, figure, in_words
from gateway.cli.prose import said
from gateway.commissioning.plausibility import PhysicsCheck, judge

_FEW = 3
_DECIMAL = re.compile(r"(?<=\d)\.(?=\d)")


def evidence(check: PhysicsCheck) -> str:
    """A check as a sentence: whether it fits, of what, what stands beside what."""
    how = {True: _("fits"), False: _("does not fit"), None: _("open, not decided")}[check.good]
    name = _("identity") if check.names[0] == "identity" else check.names[0]
    text = _DECIMAL.sub(figure("."), in_words(check.text))
    return f"{how}: {name}: {text}"


def contradictions(values: Mapping[str, float], absent: Mapping[str, str]) -> list[str]:
    """What of a meter's values physics forbids."""
    return [evidence(check) for check in judge(values, absent) if check.good is False]


def contradiction_lines(found: list[str], driver: str, indent: str = "  ") -> list[str]:
    """Contradictions as lines for a terminal, with what to try; nothing when there are none."""
    if not found:
        return []
    told = [line for text in found[:_FEW] for line in said(text, indent, "! ")]
    action = _(
        "These values cannot be → submeter drivers try %(driver)s says which table, order or ratio fits"
    )
    return [*told, *said(action % {"driver": driver or "TABLE"}, indent)]
