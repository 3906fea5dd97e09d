"""submeter status: a few honest lines about the running daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import need_client
from gateway.cli.options import config_option, socket_option


@click.command(name="status", help="Say in a few lines how the running daemon is: meters, lines, journal, platforms, clock.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole snapshot as JSON, as /api/v1/status gives it.")
@config_option
@socket_option
def command(as_json: bool, file: Path | None, socket: Path) -> None:
    """Ask the daemon and print its answer."""
    with need_client(socket, file) as client:
        snapshot = client.status()
    print(json.dumps(snapshot, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(snapshot)))


def lines(snapshot: dict[str, Any]) -> list[str]:
    """The snapshot in words, worst things named."""
    from gateway.status import notices, sentences  # noqa: PLC0415 - only a running daemon makes them needed
    from gateway.status.api import from_json  # noqa: PLC0415 - see above
    from gateway.status.language import Locale  # noqa: PLC0415 - see above
    from gateway.status.verdict import judge  # noqa: PLC0415 - see above
    from gateway.status.words import Words  # noqa: PLC0415 - see above

    now = from_json(snapshot)
    f = Locale("en", now.timezone, now.taken)
    verdict = judge(now)
    told = [f"{now.name} ({now.gateway}), version {now.version}, running for {f.span(now.uptime)}, as of {f.clock(now.taken)}"]
    told.append(notices.headline(verdict, now, f).text)
    for notice in notices.notices(verdict, now, f):
        told.append(f"  ! {notice.text}")
        if notice.action:
            told.append(f"    → {notice.action}")
    told += [f"line {bus.called}: {sentences.bus(bus, f)}" for bus in now.buses]
    told += [f"line {bus.name}, known of it: {sentences.facts(bus.learnt, f)}" for bus in now.buses if bus.learnt]
    told += [f"meter {meter.id}, known of it: {sentences.facts(meter.learnt, f)}" for meter in now.meters if meter.learnt]
    room = sentences.room(now, f)
    told.append(f"journal: {Words(f).journal_state(now.journal.state)}" + (f"; {room}" if room else ""))
    told.append(f"  {sentences.stored(now, f, page=False)}")
    told.append(f"  {sentences.power_cut(now, f)}")
    told += [
        f"platform {uplink.called}: {Words(f).uplink_state(uplink.state)}. {sentences.uplink(now, uplink, f)}" for uplink in now.uplinks
    ]
    if not now.uplinks:
        told.append("platform: none is configured; readings stay on this gateway")
    told.append("clock: " + ("set right" if now.clock.synced else "not set") + f" ({Words(f).clock_source(now.clock.source)})")
    return told
