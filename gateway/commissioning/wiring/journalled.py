"""Values of a meter from batches of the journal, as far back as they are by the same wiring and scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.commissioning.wiring.recorded import Recorded
from gateway.model import QUANTITIES

_EXCHANGED: Final = frozenset({"meter_swapped", "meter_changed"})
"""Events of a meter behind which its values say nothing of what was before."""
_SETTINGS: Final = frozenset({"bus", "address", "driver", "ct", "vt", "values"})
"""Keys of a meter which, changed, make its values others."""
_USED: Final = ("active_power", "reactive_power", "apparent_power", "power_factor", "voltage", "current")


def read_journalled(batches: Iterable[Mapping[str, Any]], meter: str) -> Recorded:
    """What batches (as JSON, oldest first) hold of a meter: the columns that tell of its wiring, and the time
    of their first and last row. What was not believed is left out.
    """
    rows: list[tuple[int, dict[str, float | None]]] = []
    for batch in batches:
        if any(_is_another(event) for event in batch.get("events", ()) if event.get("meter") == meter):
            rows.clear()
        doubted = set(batch.get("suspect", {}).get(meter, ()))
        for table in batch.get("tables", ()):
            names = [name for name in table["values"] if name.startswith(_USED) and name not in doubted]
            known = [name for name in names if name in QUANTITIES and QUANTITIES[name].kind == "gauge"]
            for place, (whose, dt) in enumerate(zip(table["meter"], table["dt"], strict=True)):
                if whose == meter and known:
                    values = {name: table["values"][name][place] for name in known}
                    rows.append((batch["t0"] + dt, values))
    found = Recorded(rows=len(rows))
    if rows:
        found.first, found.last = rows[0][0], rows[-1][0]
        every = sorted({name for _, values in rows for name in values})
        found.columns = {name: [values.get(name) for _, values in rows] for name in every}
    return found


def _is_another(event: Mapping[str, Any]) -> bool:
    """Whether the meter is another one from then on, or is read by other settings."""
    changed = event.get("fields")
    return event["kind"] in _EXCHANGED or (
        event["kind"] == "configuration_changed"
        and isinstance(changed, dict)
        and not _SETTINGS.isdisjoint(changed)
    )
