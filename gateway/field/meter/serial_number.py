"""The serial number that a meter was first seen with: another one in its place is another meter, whose
registers begin elsewhere.

It is kept with what is learnt about the meter, per line, address and table. A `serial:` in the configuration
takes its place.
"""

from __future__ import annotations

import logging

from gateway.common.text import visible
from gateway.field.facts import MOST_SERIAL, MeterFacts
from gateway.field.health import MeterExchange
from gateway.model import Event

log = logging.getLogger(__name__)

ACCEPTED_AFTER = 7 * 86400.0
"""s after which a changed meter is taken for the meter, if nobody has said so before."""


class SerialMemory:
    """Compares what a meter says of itself with what it said before. Nothing is believed that was not read
    twice alike.
    """

    def __init__(self, meter: str, facts: MeterFacts) -> None:
        self._meter, self._facts = meter, facts
        self._once = ""
        """A number that was read once and has to be read again."""

    def seen(self, serial: str, uptime: int) -> tuple[list[Event], bool]:
        """A serial number that was read: an event when the meter is another one, and whether it should be
        asked once more.
        """
        serial = visible(serial.strip(), MOST_SERIAL - 1)
        if not tells(serial):
            return [], False
        first, now = self._facts.serial, self._facts.serial_now
        if (accepted := self._accepted(first, now)) is not None:
            first, now = accepted, ""
        if first and plain(serial) == plain(now or first):
            self._once = ""
            return [], False
        if plain(self._once) != plain(serial):
            self._once = serial
            return [], True
        self._once = ""
        if not first:
            self._facts.learn("serial", serial)
            return [], False
        return [self._changed(first, now or first, serial, uptime)], False

    def confirmed(self) -> None:
        """The configuration names the meter that answers: what was seen before it does not count."""
        self._facts.forget("serial", "serial_now")

    def replaced(self, serial: str) -> None:
        """A person says that the meter was exchanged: the one that answers now is the meter."""
        self._once = ""
        self._facts.forget("serial", "serial_now")
        if tells(serial):
            self._facts.learn("serial", visible(serial.strip(), MOST_SERIAL - 1))

    @property
    def known(self) -> bool:
        """Whether its serial number was seen before, also by the run before."""
        return not self._facts.fixed("serial") and bool(self._facts.serial)

    @property
    def exchange(self) -> MeterExchange | None:
        """The change that nobody has confirmed yet; None when there is none."""
        if self._facts.fixed("serial"):
            return None
        since = self._facts.since("serial_now")
        if since is None or self._facts.age(since) > ACCEPTED_AFTER:
            return None
        return MeterExchange(self._facts.serial, self._facts.serial_now, since)

    def _accepted(self, first: str, now: str) -> str | None:
        """The new meter, when it has been there for long enough."""
        since = self._facts.since("serial_now")
        if not (first and now) or since is None or self._facts.age(since) <= ACCEPTED_AFTER:
            return None
        log.info(
            "meter %s: serial number %s instead of %s since a week: it is taken for the meter",
            self._meter,
            now,
            first,
        )
        self._facts.forget("serial", "serial_now")
        self._facts.learn("serial", now)
        return now

    def _changed(self, first: str, old: str, new: str, uptime: int) -> Event:
        self._facts.forget("serial_now")
        if plain(new) != plain(first):
            self._facts.learn("serial_now", new)
        log.warning(
            "meter %s: serial number %s answers instead of %s: was the meter replaced, or the line "
            "re-plugged? → if it is meant, write "
            'serial: "%s" at the meter and reload; otherwise check its address and cable',
            self._meter,
            new,
            old,
            new,
        )
        return Event("meter_changed", uptime, {"meter": self._meter, "old": old, "new": new})


def plain(serial: str) -> str:
    """A serial number without what is written one way or the other."""
    return serial.strip().lstrip("0").casefold()


def tells(serial: str) -> bool:
    """Whether it tells one meter from another: registers that were never written hold zeros, ones or
    blanks.
    """
    bare = plain(serial)
    return (
        bool(bare)
        and set(bare) not in ({"f"}, {"?"}, {"-"}, {"\xff"}, {" "})
        and bare not in {"65535", "4294967295", str(2**64 - 1)}
    )
