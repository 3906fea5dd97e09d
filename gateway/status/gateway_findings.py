"""What is found of the gateway itself: its clock, its parts, an upgrade."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.status.findings import StatusFinding
from gateway.status.snapshot import MeterView, Snapshot

UPGRADE_MS = 7 * 86_400_000
"""How long it is news that an upgrade did not succeed."""


def gateway_findings(now: Snapshot, active: list[MeterView]) -> Iterator[StatusFinding]:
    """The gateway itself: its clock, its parts, its upgrade, and the daemon's own lines."""
    if not active:
        yield StatusFinding("gateway", "no_meters", "warn")
    yield (
        StatusFinding("clock", "clock_right", "good")
        if now.clock.synced
        else StatusFinding("clock", "clock_unset", "warn")
    )
    for beat in now.beats:
        alive = beat.alive
        yield StatusFinding(
            "gateway",
            "alive" if alive else "part_stopped",
            "good" if alive else "bad",
            beat.name,
            int(beat.age),
        )
    if now.refused:
        yield StatusFinding("gateway", "reload_refused", "warn", count=now.refused)
    elif now.mistakes:
        yield StatusFinding("gateway", "mistakes", "warn", count=now.mistakes)
    yield from _upgrade(now)
    if now.history:
        yield StatusFinding("gateway", "history_failed", "bad", details=(now.history,))
    if now.own is not None and (supply := now.own.value("undervoltage")) is not None and supply.value:
        yield StatusFinding("gateway", "undervoltage", "warn")
    for line in now.problems[now.in_short :]:
        yield StatusFinding("gateway", "told_by_daemon", "warn", details=(line,))


def _upgrade(now: Snapshot) -> Iterator[StatusFinding]:
    """For a week after it has failed; a version that is on trial, or was kept, is no trouble."""
    if (upgrade := now.upgrade) is None:
        return
    versions = (upgrade.before, upgrade.after)
    if upgrade.outcome == "trial":
        yield StatusFinding("gateway", "upgrade_on_trial", "known", details=versions)
    elif upgrade.outcome != "kept" and younger(upgrade.at, now, UPGRADE_MS):
        if upgrade.outcome == "taken back":
            yield StatusFinding("gateway", "upgrade_taken_back", "warn", at=upgrade.at, details=versions)
        else:
            yield StatusFinding("gateway", "upgrade_failed", "warn", at=upgrade.at, details=versions)


def younger(since: int | None, now: Snapshot, limit: int) -> bool:
    """Whether something began less than `limit` ms ago."""
    return since is not None and now.taken - since < limit
