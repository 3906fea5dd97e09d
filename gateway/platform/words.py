"""What is wrong with a gateway, in the visitor's language."""

from __future__ import annotations

from gateway.receiver import FleetRow
from gateway.status import Locale


def N_(message: str) -> str:  # noqa: N802 - the usual name
    """A text of the catalogue that is translated where it is shown."""
    return message


NAMES = {
    "contradicted": N_("Contradicted days"),
    "clone": N_("Two machines, one identity"),
    "conflicts": N_("Conflicts"),
    "offline": N_("Offline"),
    "silent": N_("Silent"),
    "unread": N_("Meters that give nothing"),
    "incomplete": N_("Incomplete days"),
    "missing": N_("Missing batches"),
    "clock": N_("Clock not right"),
    "backlog": N_("Behind"),
    "refused": N_("Refused messages"),
}
"""Of each problem, for a choice among them."""
ADVICE = {
    "contradicted": N_(
        "What is stored of these days is not what the gateway says it sent. Compare them before anybody is "
        "billed by them."
    ),
    "clone": N_(
        "A copy of its card is running somewhere, or it was restored from a backup: two machines were heard "
        "under its id, or two epochs follow the same one. Switch one of the two off, or give it an id of its "
        "own."
    ),
    "conflicts": N_(
        "The same number came with other content in the last seven days. The gateway sends such batches "
        "again by itself; if it goes on, a second machine uses its name."
    ),
    "offline": N_(
        "It has no connection to the broker. Its readings wait in the gateway: look at power and network."
    ),
    "silent": N_(
        "It is connected, but nothing of it has been stored for a quarter of an hour. Its own page says why, "
        "and whether it still reads meters."
    ),
    "unread": N_(
        "For an hour nothing came of them, while the gateway asked. Its own page says why: look at their "
        "supply, wiring and address."
    ),
    "incomplete": N_(
        "Intervals of these days are still missing. They come when the gateway has sent what waits."
    ),
    "missing": N_("Numbers are missing among its batches. They are asked for when nothing waits in it."),
    "clock": N_(
        "Nobody vouches for its clock. Its readings get their time when it has one: give it a time server."
    ),
    "backlog": N_(
        "More than an hour of batches waits in the gateway. It catches up by itself if its line allows."
    ),
    "refused": N_("Messages of the last day could not be used. The newest of each kind is below."),
}
"""What it means and what to do."""
STATES = {
    "complete": N_("complete"),
    "incomplete": N_("incomplete"),
    "contradicted": N_("contradicted"),
}


def problem(name: str, row: FleetRow, f: Locale, now: int) -> str:
    """One problem of a gateway in a few words with its number."""
    _, ngettext = f.gettext, f.ngettext
    if name == "contradicted":
        return ngettext("%(n)s day contradicted", "%(n)s days contradicted", row.contradicted) % {
            "n": f.whole(row.contradicted)
        }
    if name == "clone":
        return _("two machines, one identity")
    if name == "conflicts":
        return ngettext("%(n)s conflict", "%(n)s conflicts", row.conflicts) % {"n": f.whole(row.conflicts)}
    if name == "offline":
        return (
            _("offline")
            if row.heard is None
            else _("offline, last change %(ago)s") % {"ago": ago(row.heard, f, now)}
        )
    if name == "silent":
        if row.last_received is None:
            return _("nothing stored yet")
        return _("online, last batch %(ago)s") % {"ago": ago(row.last_received, f, now)}
    if name == "unread":
        return ngettext("%(n)s meter gives nothing", "%(n)s meters give nothing", row.unread) % {
            "n": f.whole(row.unread)
        }
    if name == "incomplete":
        return ngettext("%(n)s day incomplete", "%(n)s days incomplete", row.incomplete) % {
            "n": f.whole(row.incomplete)
        }
    if name == "missing":
        return ngettext("%(n)s batch missing", "%(n)s batches missing", row.missing) % {
            "n": f.whole(row.missing)
        }
    if name == "clock":
        return _("clock not right")
    if name == "backlog":
        backlog = row.backlog or 0
        return ngettext("%(n)s batch behind", "%(n)s batches behind", backlog) % {"n": f.whole(backlog)}
    return ngettext("%(n)s message refused", "%(n)s messages refused", row.refused) % {
        "n": f.whole(row.refused)
    }


def ago(at: int | None, f: Locale, now: int) -> str:
    """How long ago a time (UTC ms) was."""
    return f.ago(None if at is None else max(0.0, (now - at) / 1000))
