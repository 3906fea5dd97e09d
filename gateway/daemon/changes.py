"""What a person would call the change between two configurations, and how the platform is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.config import Config, Meter


@dataclass(frozen=True, slots=True)
class Change:
    """One change: a line for a person, and the fields of the event `configuration_changed`."""

    words: str
    fields: dict[str, Any] = field(default_factory=dict)


def differences(old: Config, new: Config) -> list[Change]:
    """Meters added, removed and changed (renamed, replaced, moved to another bus or address), then every other section."""
    before, after = {meter.id: meter for meter in old.meters}, {meter.id: meter for meter in new.meters}
    changes = [Change(f"meter {name} was added", {"meter": name, "change": "added"}) for name in after if name not in before]
    changes += [Change(f"meter {name} was removed", {"meter": name, "change": "removed"}) for name in before if name not in after]
    changes += [_changed(before[name], after[name]) for name in after if name in before and after[name] != before[name]]
    changes += [
        Change(f"{section} changed", {"section": section, "change": "changed"})
        for section in type(new).model_fields
        if section != "meters" and getattr(old, section) != getattr(new, section)
    ]
    return changes


def _changed(was: Meter, now: Meter) -> Change:
    fields = {name: [getattr(was, name), getattr(now, name)] for name in type(now).model_fields if getattr(was, name) != getattr(now, name)}
    words = ", ".join(f"{name} was {old}, is {new}" for name, (old, new) in fields.items())
    return Change(f"meter {now.id}: {words}", {"meter": now.id, "change": "changed", "fields": fields})
