"""Is a gateway as well after a change as it was before? From its own status. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Part = tuple[str, str]
"""meter, uplink or delivery, and its id or name."""
RECENT_MS = 120_000
"""A delivery so long ago is one of now."""


def well(status: Mapping[str, Any], since: float | None = None) -> set[Part]:
    """What is well: meters that answer, uplinks that are connected, those to which something is delivered.

    With `since` (s ago) only what has proved it after that: a reading, a delivery.
    """
    taken = status["taken"]
    found: set[Part] = set()
    for meter in status["meters"]:
        answers = meter["state"] in {"answering", "partial"}
        if answers and (since is None or (meter["age"] is not None and meter["age"] < since)):
            found.add(("meter", meter["id"]))
    for uplink in status["uplinks"]:
        if uplink["state"] != "connected" or uplink["cause"]:
            continue
        found.add(("uplink", uplink["name"]))
        delivered = uplink["last_delivery"]
        limit = RECENT_MS if since is None else since * 1000
        if delivered is not None and taken - delivered < limit:
            found.add(("delivery", uplink["name"]))
    return found


def expected(before: set[Part], after: Mapping[str, Any]) -> set[Part]:
    """What was well and is still there: a meter that was taken out or switched off need not answer."""
    meters = {meter["id"] for meter in after["meters"] if meter["state"] != "disabled"}
    uplinks = {uplink["name"] for uplink in after["uplinks"]}
    there = {"meter": meters, "uplink": uplinks, "delivery": uplinks}
    return {(kind, name) for kind, name in before if name in there[kind]}


def words(parts: set[Part]) -> str:
    """For a person: which parts."""
    kinds = {"meter": "meter {}", "uplink": "uplink {}", "delivery": "delivery to {}"}
    return ", ".join(kinds[kind].format(name) for kind, name in sorted(parts))
