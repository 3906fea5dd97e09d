"""What is found of the platforms: whether each takes what it should, in time, and what it does not allow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import assert_never

from gateway.status.findings import Level, StatusFinding, UplinkCause
from gateway.status.gateway_findings import younger
from gateway.status.snapshot import Snapshot, UplinkView

LEAST_MS = 60_000
"""A bound on what may be late, unless the configuration has another; a commit's is never shorter."""
SLOTS = 3
"""Slots that a delivery, and a commit, may take."""
CERTIFICATE_DAYS = 30
"""How long before its end a certificate is news."""
_DAY = 86_400_000


def bound(now: Snapshot, least: float = LEAST_MS / 1000) -> int:
    """After how many ms a commit or a delivery is late: three slots, `least` s at least."""
    return int(1000 * max(SLOTS * now.journal.slot, least))


def certificate_findings(now: Snapshot) -> Iterator[StatusFinding]:
    """Certificates that end within a month, by a clock that is right."""
    for view in now.uplinks:
        ends = view.certificate_ends
        if ends is None or not now.clock.synced or ends - now.taken > CERTIFICATE_DAYS * _DAY:
            continue
        days = max(0, (ends - now.taken) // _DAY)
        if ends <= now.taken:
            yield StatusFinding("uplink", "certificate_ended", "bad", view.name, days, ends)
        else:
            yield StatusFinding("uplink", "certificate_ends", "warn", view.name, days, ends)


def uplink_findings(view: UplinkView, now: Snapshot) -> Iterator[StatusFinding]:
    """What the broker does not take or allow, and how delivery stands, if that is another trouble."""
    delivery = _delivery(view, now)
    beside: list[StatusFinding] = []
    if view.state == "connected":
        if view.set_aside and delivery.cause not in {"refused", "no_subscriber"}:  # these concern all
            why = (view.set_aside_cause,) if view.set_aside_cause else ()
            beside.append(_about(view, "batches_set_aside", "bad", details=why))
        if view.refused_topics:
            beside.append(_about(view, "topic_refused", "bad", details=view.refused_topics))
        if view.left_out:
            beside.append(_about(view, "message_left_out", "warn", details=view.left_out))
    told = delivery.cause == "no_receipt" and _may_not_hear(view)
    if not beside or (delivery.level == "bad" and not told):
        yield delivery
    yield from beside


def _may_not_hear(view: UplinkView) -> bool:
    """Whether every receipt that stays away is one that the broker does not let us hear."""
    refused = {topic.rpartition("/receipt/")[2] for topic in view.refused_topics if "/receipt/" in topic}
    return bool(refused) and refused.issuperset(view.silent)


def _about(view: UplinkView, cause: UplinkCause, level: Level, **more: object) -> StatusFinding:
    at = more.get("at", view.backlog_oldest)
    details = more.get("details", (view.cause,) if view.cause else ())
    assert at is None or isinstance(at, int)
    assert isinstance(details, tuple)
    return StatusFinding("uplink", cause, level, view.name, view.backlog_readings, at, details)


def _delivery(view: UplinkView, now: Snapshot) -> StatusFinding:
    """One finding: the first that is true, the worst asked first."""
    patience = bound(now, view.late_after)
    waited = 0 if view.backlog_oldest is None else now.taken - view.backlog_oldest
    heard = view.last_receipt if view.receipts else view.last_delivery
    # What is of a time to come was taken before the clock was set back: how long it waits is not known.
    ahead = waited < -patience and not younger(heard, now, patience)
    late = waited > patience or ahead
    fresh = 1000 * (view.in_vain - view.spread) < patience
    if view.set_aside:  # which waits for ever; the others go on while anything is confirmed
        late = late and not fresh and view.backlog_batches > view.set_aside
    short = now.journal.room_days is not None and now.journal.room_days < now.journal.warn_days
    finding = partial(_about, view)

    match view.state:
        case "refused":
            return finding("refused", "bad")
        case "taken over":
            return finding("id_taken", "bad")
        case "stopped":
            return finding("stopped", "bad")
        case "idle" | "connecting" | "waiting":
            # The first attempt after a start or a reload proves nothing of the platform, whatever waits.
            first = view.state != "waiting" or not late
            if first and younger(view.since, now, patience + int(1000 * view.spread)):
                return finding("reconnecting" if view.protocol else "connecting", "busy")
            if view.hangs_up:
                return finding("refused", "bad")
            return finding("unreachable", "bad" if short else "warn")
        case "connected":
            pass
        case _:
            assert_never(view.state)
    # A clock that is set one day mends nothing that the broker refuses.
    if view.held >= view.backlog_batches > 0 and not (view.cause or view.hangs_up):
        return finding("held_for_clock", "busy")
    if not late:
        # Nothing confirmed since the start proves nothing, unless there was nothing to confirm for longer
        # than that takes.
        begun = younger(view.since, now, patience + int(1000 * view.spread))
        if heard is None and (begun or view.backlog_batches):
            return finding("first_delivery", "busy")
        if view.salvaged:
            return finding("delivering", "busy", at=None)
        return finding("delivered", "good")
    # First: what makes room for itself is less without being delivered.
    if view.cause == "no_subscribers":
        return finding("no_subscriber", "bad")
    if view.cause or view.hangs_up:
        return finding("refused", "bad")
    if view.done_at is not None:
        return finding("delivering", "busy", at=view.done_at)
    if fresh:
        return finding("first_delivery" if heard is None else "delivery_awaited", "busy")
    if view.silent:
        return finding("no_receipt", "bad", details=view.silent)
    return finding("no_receipt" if view.receipts else "not_delivered", "bad")
