"""submeter status: a few honest lines about the running daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import need_client
from gateway.cli.language import N_, _, locale, ngettext
from gateway.cli.options import config_option, socket_option
from gateway.cli.prose import said
from gateway.status import RemoteView, Words, from_json, has_words, judge, notices, sentences

_FOLDED = N_(
    "submeter drivers try --meter %(id)s tells whether its table fits; submeter status --json has the "
    "registers"
)
"""What to do about a meter that refuses many of the registers of its table, or does not answer for them."""

_IN_ORDER = N_(
    "Meters, lines, journal, platforms and clock are in order. What the energy comes to, and whether there "
    "will be a charge for it, is told on the page."
)


@click.command(
    name="status",
    help=N_("Say in a few lines how the running daemon is: meters, lines, journal, platforms, clock."),
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help=N_("Print the whole snapshot as JSON, as /api/v1/status gives it."),
)
@config_option
@socket_option
def command(as_json: bool, file: Path | None, socket: Path | None) -> None:
    """Ask the daemon and print its answer."""
    with need_client(socket, file) as client:
        snapshot = client.status()
    print(json.dumps(snapshot, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(snapshot)))


def lines(snapshot: dict[str, Any]) -> list[str]:
    """The snapshot in words, worst things named."""
    now = from_json(snapshot)
    f = locale(now.timezone, now.taken)
    words, verdict = Words(f), judge(now)
    head = _("%(name)s (%(gateway)s), version %(version)s, running for %(span)s, as of %(time)s (%(zone)s)")
    told = said(
        head
        % {
            "name": now.name,
            "gateway": now.gateway,
            "version": now.version,
            "span": f.span(now.uptime),
            "time": f.clock(now.taken),
            "zone": now.timezone,
        }
    )
    headline = notices.headline(verdict, now, f)
    # What the page weighs besides, the snapshot does not know: no all-clear for it.
    told += said(_(_IN_ORDER) if headline.level == "good" else headline.text)
    for notice in notices.notices(verdict, now, f):
        told += said(notice.text, "  ", "! ")
        told += said(notice.action, "    ", "→ ") if notice.action else []
    for line in now.problems[now.in_short :]:
        told += [] if has_words(line, f) else said(line, "    ")
    for bus in now.buses:
        told += said(_("line %(name)s: %(how)s") % {"name": bus.called, "how": sentences.bus(bus, f)})
    known = [(_("line %(name)s, known of it: %(how)s"), bus.name, bus.learnt) for bus in now.buses]
    for meter in now.meters:
        odd = tuple(fact for fact in meter.learnt if fact.name != "serial")  # which every good one has
        known.append((_("meter %(name)s, known of it: %(how)s"), meter.id, odd))
    for text, name, facts in known:
        told += said(text % {"name": name, "how": sentences.facts(facts, f)}) if facts else []
        if any(fact.since is not None and sentences.is_folded(fact) for fact in facts):
            told += said(_(_FOLDED) % {"id": name}, "  ", "→ ")
    room = sentences.room(now, f)
    told += said(
        _("journal: %(how)s") % {"how": words.journal_state(now.journal.state)}
        + (f"; {room}" if room else "")
    )
    told += said(sentences.stored(now, f, page=False), "  ")
    told += said(sentences.power_cut(now, f), "  ")
    for uplink in now.uplinks:
        how = f"{words.uplink_state(uplink)}. {sentences.uplink(now, uplink, f)}"
        told += said(_("platform %(name)s: %(how)s") % {"name": uplink.called, "how": how})
    if not now.uplinks:
        told += said(_("platform: none is configured; readings stay on this gateway"))
    if now.remote is not None:
        told += said(_remote(now.remote))
    told += said(_("clock: %(how)s") % {"how": words.clock(now.clock)})
    return told


def _remote(view: RemoteView) -> str:
    """What came from afar since the start."""
    refused = ", ".join(f"{reason} {count}" for reason, count in sorted(view.refused.items()))
    text = ngettext(
        "remote care over %(uplink)s: %(done)s command carried out, %(failed)s failed, %(refused)s refused",
        "remote care over %(uplink)s: %(done)s commands carried out, %(failed)s failed, %(refused)s refused",
        view.done,
    )
    counts = {"done": view.done, "failed": view.failed, "refused": sum(view.refused.values())}
    told = text % {"uplink": view.uplink, **counts} + (f" ({refused})" if refused else "")
    return told + ("; " + _("%(change)s is on trial") % {"change": view.trial} if view.trial else "")
