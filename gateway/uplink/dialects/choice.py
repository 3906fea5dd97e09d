"""Which dialect an uplink speaks, by its configuration. Each is loaded where it is spoken alone."""

from __future__ import annotations

from collections.abc import Callable

from gateway.config import Uplink
from gateway.model import ClockLike
from gateway.mqtt import TO_THE_LOOP, BrokerLink, Hearing, Link
from gateway.uplink.broker import broker_of
from gateway.uplink.dialects import later
from gateway.uplink.dialects.dialect import Dialect
from gateway.wire import Topics


def dialect_of(config: Uplink, gateway: str) -> Dialect | None:
    """The dialect; None for the native one."""
    match config.dialect:
        case "homeassistant":
            own = config.homeassistant
            return later.HomeAssistant(gateway, prefix=own.prefix, expire_after=own.expire_after)
        case "thingsboard":
            return later.ThingsBoard(gateway)
        case "fiware":
            return later.Fiware(gateway, apikey=config.fiware.apikey)
        case "sparkplug":
            told = config.sparkplug
            return later.Sparkplug(gateway, group=told.group, primary_host=told.primary_host)
    return None


def link_of(config: Uplink, gateway: str, clock: ClockLike, describe: Callable[[], bytes]) -> Link:
    """The way to the platform, in its dialect. `describe` gives the text of P/meters."""
    dialect = dialect_of(config, gateway)
    # What a platform has left with the broker: its state, our own announcements. A receipt is never kept.
    hearing = Hearing(retained=True) if dialect is not None and dialect.topics else TO_THE_LOOP
    link = BrokerLink(broker_of(config, gateway), hearing=hearing, synced=lambda: clock.synced)
    if dialect is None:
        return link
    return later.DialectLink(dialect, link, Topics(gateway), describe, clock.wall)
