"""What `submeter scan` says: where it is, what it has met, how sure it is, what to write."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from typing import Any

from rich.progress import Progress

from gateway.cli.language import N_, _, figure, in_words, locale, ngettext
from gateway.cli.physics_words import contradiction_lines, evidence
from gateway.cli.progress import progress_bar
from gateway.cli.prose import say
from gateway.commissioning.scan import (
    FoundMeter,
    LineSetting,
    Proposal,
    ScanProgress,
    Swept,
    item_texts,
    propose_lines,
    together,
)
from gateway.errors import GatewayError, NotReady, Refused
from gateway.model import QUANTITIES

_EVERY = 15.0
"""s between two lines about the progress where there is no terminal."""
_SHOWN = (
    ("voltage_l1n", "voltage_ln", "voltage_l12", "voltage_ll"), ("current_l1",), ("active_power",),
    ("active_energy_import", "active_energy_total"), ("heat_energy",), ("volume",), ("temperature_flow",),
)  # fmt: skip
"""What a person compares with the display: of each group the first that there is."""
_MOST_NAMES = 4
_TROUBLES = {
    "double": N_(
        "Two meters share an address: their answers garble each other. → switch one of them off, give the "
        "other a free address at its display, and search again"
    ),
    "noise": N_(
        "Bytes come that belong to no frame. → check the shield, the termination (120 Ω at both ends) and "
        "the bias, and keep the cable away from inverters"
    ),
    "no_frame": N_(
        "Bytes come, but never a frame. → swap A and B at the adapter, and search again; else another "
        "protocol runs on this line"
    ),
    "echo": N_("The adapter hears what it says itself. That is harmless."),
    "odd_number": N_(
        "Its answers carry other numbers than their questions. The gateway finds out in which way, and reads "
        "its meters. → newer firmware at the converter, if there is one"
    ),
    "odd_unit": N_(
        "Its answers carry another unit than their questions. The gateway finds out which, and reads its "
        "meters. → newer firmware at the converter, if there is one"
    ),
    "odd_fields": N_(
        "Its answers differ from the standard in several fields at once (%(seen)s): they are read only when "
        "the configuration says so. → newer firmware at the converter, else at its bus: %(keys)s"
    ),
    "connect_pause": N_(
        "It hears nothing in the first seconds of a connection. The gateway finds that out, and waits for it."
    ),
    "master": N_(
        "Another master asks the meters of this line: a line has one. → find it (a logger, a second "
        "gateway, an energy manager) and take it off"
    ),
}
_SEEN = {
    "number": N_("number %(seen)s for %(asked)s"),
    "unit": N_("unit %(seen)s for %(asked)s"),
    "length": N_("length %(seen)s for %(asked)s"),
    "protocol": N_("protocol %(seen)s for %(asked)s"),
}
"""In what an answer differs."""
_STAGES = {
    "likely": N_("likely addresses"),
    "finish": N_("the rest of this setting"),
    "all": N_("all addresses"),
    "stop bits": N_("two stop bits"),
    "paused": N_("after a pause"),
    "name": N_("which meter it is"),
}


class Report:
    """Words, or one JSON object, about the places that are searched."""

    def __init__(
        self,
        *,
        as_json: bool,
        existing: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], []),
        proposes: bool = True,
    ) -> None:
        """`existing`: buses and meters of the configuration, by its keys. `proposes`: say what to write."""
        self.proposals: list[Proposal] = []
        self._json = as_json
        self._answers: list[dict[str, Any]] = []
        self._place = ""
        self._settings: list[LineSetting] = []
        self._buses, self._meters = [*existing[0]], [*existing[1]]
        self._proposes = proposes
        self._bar: Progress | None = None
        self._told = 0.0
        self._count = 0
        self._few = False

    def begin(self, place: str, worst: float, settings: list[LineSetting]) -> None:
        """A search begins, which takes at most `worst` s."""
        self._place, self._settings = place, settings
        self._told = time.monotonic()
        self._few = len({each.baudrate for each in settings}) == 1
        many = ngettext("%(n)s setting", "%(n)s settings", len(settings)) % {"n": len(settings)}
        where = f"{place}, {many}" if settings else place
        text = _(
            "Searching %(where)s: at most %(time)s to ask everywhere, mostly far less, and some seconds for "
            "each meter that answers."
        )
        say(text % {"where": where, "time": _time(worst)}, err=True)
        if sys.stderr.isatty():
            self._bar = progress_bar()
            self._bar.start()

    def progress(self, now: ScanProgress) -> None:
        """Where it is."""
        where = f"{now.setting}, " if now.setting else ""
        text = (
            _("%(where)saddress %(unit)s: which meter is it? %(named)s of %(found)s known")
            if now.stage == "name"
            else _("%(where)saddress %(unit)s, %(found)s found, %(left)s left at most")
        ) % {
            "where": where,
            "unit": now.unit,
            "found": now.found,
            "named": now.named,
            "left": _time(now.left),
        }
        if self._bar is not None:
            total = max(now.done + now.left, 0.1)
            self._bar.update(self._bar.tasks[0].id, description=text, completed=now.done, total=total)
        elif time.monotonic() - self._told >= _EVERY:
            self._told = time.monotonic()
            say(f"{text} ({_(_STAGES[now.stage])})", mark="… ", err=True)

    def met(self, found: FoundMeter) -> None:
        """A meter was found and identified."""
        self._count += 1
        if not self._json:
            self._above(lambda: _show(found))

    def interrupted(self) -> None:
        """Somebody pressed Ctrl-C."""
        self._above(lambda: say(_("Ended early; what was found until then follows."), err=True))

    def trouble(self, place: str, error: GatewayError) -> None:
        """A place that could not be searched."""
        self._close()
        text = str(error)
        say(in_words(text if text.startswith(place) else f"{place}: {text}"), err=True)
        self._answers.append({"place": place, "error": error.message, "hint": error.hint, "found": []})

    def done(self, swept: Swept) -> None:
        """A search has ended."""
        self._close()
        host = not self._settings
        name, _colon, port = self._place.rpartition(":")
        place: dict[str, object] = {"type": "serial", "port": self._place}
        if host:
            place = {
                "type": "rtu-over-tcp" if swept.rtu else "tcp",
                "host": name or port,
                "port": int(port) if name and port.isdigit() else 502,
                **swept.reply_keys,
            }
        proposal = propose_lines(swept.found, place=place, buses=self._buses, meters=self._meters)
        # The lines of the next place stand in the same file.
        self._buses += [proposal.bus] if proposal.bus else []
        self._meters += proposal.meters
        self.proposals.append(proposal)
        self._answers.append(
            {
                "place": self._place,
                "type": place["type"] if swept.found else None,
                "found": [_as_dict(found) for found in swept.found],
                "tried": [str(setting) for setting in swept.tried],
                "likely_addresses_only": [str(setting) for setting in swept.likely_only],
                "troubles": sorted(swept.troubles),
                "reply_keys": swept.reply_keys,
                "seconds": round(swept.seconds, 1),
                "ended": swept.ended,
                "lines": proposal.text,
            }
        )
        if not self._json:
            self._conclude(swept, proposal, str(place["type"]))

    def end(self) -> int:
        """Everything is said; how many meters were found."""
        if self._json:
            print(json.dumps({"places": self._answers}, ensure_ascii=False))
        return self._count

    def _conclude(self, swept: Swept, proposal: Proposal, place_type: str) -> None:
        count = len(swept.found)
        text = ngettext("%(n)s meter found", "%(n)s meters found", count) % {"n": count}
        print()
        say(f"{self._place}: {text}, {_time(swept.seconds)}.")
        odd = [_(_SEEN[each.field]) % {"seen": each.seen, "asked": each.asked} for each in swept.odd]
        values = {"seen": ", ".join(odd), "keys": ", ".join(item_texts(swept.reply_keys))}
        for kind in sorted(swept.troubles):
            say(_(_TROUBLES[kind]) % values, "  ")
        if swept.rtu:
            say(
                _(
                    "This host passes the frames of a serial line on (RTU over TCP): its bus is of type: "
                    "rtu-over-tcp. What rate the line has, the converter says."
                ),
                "  ",
            )
        if proposal.other_type:
            told = {"bus": proposal.other_type, "type": place_type}
            say(_("Bus %(bus)s of the configuration is of another type. → write type: %(type)s") % told, "  ")
        self._coverage(swept)
        if not count and not swept.troubles & {"no_frame", "odd_fields"}:
            say(
                _(
                    "Nobody answered. → check that the meters have power, that A and B are not swapped, that "
                    "the line ends at this adapter, and the addresses at a display"
                ),
                "  ",
            )
            if not self._settings:
                say(
                    _(
                        "It was asked in Modbus TCP and in RTU frames. → at a converter, set the rate and "
                        "the parity of the meters"
                    ),
                    "  ",
                )
        for meter in proposal.left_out:
            say(why_left_out(meter, proposal), "  ")
        if count and not proposal.text and not proposal.left_out and self._proposes:
            say(_("The configuration has them already."), "  ")
        if proposal.text and self._proposes:
            print()
            say(_("Lines for the configuration (submeter scan … --write puts them in):"))
            print()
            print(proposal.text)

    def _coverage(self, swept: Swept) -> None:
        """Which settings were searched whole, and which were not."""
        if not self._settings:
            return
        rest = [each for each in self._settings if each not in swept.tried and each.stopbits == 1]
        if swept.tried and not rest:
            if not self._few:
                say(_("Every setting and every address was tried."), "  ")
            return
        for text, settings in (
            (_("Tried at every address: %(settings)s."), swept.tried),
            (_("Tried at the likely addresses only: %(settings)s."), swept.likely_only),
            (_("Not tried: %(settings)s."), [each for each in rest if each not in swept.likely_only]),
        ):
            if settings:
                say(text % {"settings": together(settings)}, "  ")

    def _above(self, write: Any) -> None:
        """Write above the progress bar."""
        if self._bar is None:
            write()
            return
        self._bar.stop()
        write()
        sys.stdout.flush()
        self._bar = progress_bar()
        self._bar.start()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _show(found: FoundMeter) -> None:
    at = _("address %(unit)s") % {"unit": found.unit}
    if found.setting:
        at = _("%(address)s at %(setting)s") % {"address": at, "setting": found.setting}
    say(at)
    known = found.identified
    if known.candidates:
        first = known.candidates[0]
        number = _(", serial number %(number)s") % {"number": known.serial} if known.serial else ""
        say(f"{first.maker} {first.model} ({first.name}){number}", "  ")
    say(_how_sure(found), "  ")
    if known.says:
        say(_("it calls itself: %(text)s") % {"text": known.says}, "  ")
    shown = [next((name for name in group if name in known.values), "") for group in _SHOWN]
    values = [f"{figure(f'{known.values[name]:,.6g}')} {QUANTITIES[name].unit}" for name in shown if name]
    if values:
        say(", ".join(values), "  ")
    wrong = [evidence(check) for check in known.findings if check.good is False]
    for line in contradiction_lines(wrong, known.candidates[0].name if known.candidates else ""):
        print(line)


def _how_sure(found: FoundMeter) -> str:
    """How well it is known which meter it is."""
    known = found.identified
    names = [f"{driver.maker} {driver.model} ({driver.name})" for driver in known.candidates]
    if found.double:
        text = _("two meters answer here")
    elif not names and known.complaint is not None:
        text = _complaint(known.complaint)
    elif known.doubtful:
        text = _("cannot be told: too many of its answers are lost → submeter doctor, then search again")
    elif not names:
        text = _("no table of the library fits: submeter drivers try tells more, with the table you have")
    elif len(names) > 1:
        shown = names[1:_MOST_NAMES]
        more = f" (+{len(names) - _MOST_NAMES})" if len(names) > _MOST_NAMES else ""
        text = _("one of several that nothing tells apart; also: %(names)s. Take the name on the case") % {
            "names": "; ".join(shown) + more
        }
    elif known.how == "identity":
        text = _("sure: the meter says so itself")
    elif any(check.good for check in known.findings):
        text = _("likely: its values are right with this table, and with no other")
    else:
        text = _("perhaps: its registers are there, but nothing bears the values out")
    if names and isinstance(known.complaint, NotReady):
        text += "; " + _("it was busy, or not ready, at times: search again to be sure")
    if found.every:
        text += "; " + _("it answers whatever address is asked for")
    return text


def _complaint(said: Refused) -> str:
    """Why a meter that answers gives no value by which a table could be known."""
    if isinstance(said, NotReady):
        text = _(
            "it answers that it is busy, or not ready yet (code %(code)s) → take other masters off it, and "
            "search again"
        )
        return text % {"code": said.code}
    text = _("it answers that it has a fault of its own (code %(code)s) → %(mend)s")
    return text % {"code": said.code, "mend": in_words(said.hint)}


def why_left_out(meter: FoundMeter, proposal: Proposal) -> str:
    """Why there is no line for a meter that was found, with what to do."""
    at = {"unit": meter.unit, "setting": meter.setting}
    if meter.double:
        return (
            _("No line for address %(unit)s: two meters answer there. → give one of them a free address") % at
        )
    if not meter.identified.candidates:
        return _("No line for address %(unit)s: its table is not known.") % at
    rate = proposal.bus["baudrate"] if proposal.bus and "baudrate" in proposal.bus else ""
    text = _("No line for address %(unit)s at %(setting)s: all meters of a line need one setting")
    return text % at + (_(" → set it to %(rate)s baud like the others") % {"rate": rate} if rate else "")


def _as_dict(found: FoundMeter) -> dict[str, Any]:
    known = found.identified
    return {
        "address": found.unit,
        "setting": dataclasses.asdict(found.setting) if found.setting else None,
        "how": known.how,
        "sure": known.sure,
        "drivers": [driver.name for driver in known.candidates],
        "maker": known.candidates[0].maker if known.candidates else None,
        "model": known.candidates[0].model if known.candidates else None,
        "serial": known.serial or None,
        "ct_ratio": known.ratio or None,
        "says": known.says or None,
        "values": known.values,
        "complaint": known.complaint.reason if known.complaint else None,
        "doubtful": known.doubtful,
        "double": found.double,
        "every_address": found.every,
    }


def _time(seconds: float) -> str:
    return locale().span(max(1.0, seconds))
