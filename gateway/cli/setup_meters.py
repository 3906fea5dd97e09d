"""The steps of `submeter setup` that are about meters: find them, name them, look at their values."""

from __future__ import annotations

import re
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from gateway.catalogue import load_driver
from gateway.cli.language import _, figure, in_words
from gateway.cli.lending import borrowed
from gateway.cli.physics_words import contradiction_lines, contradictions
from gateway.cli.prose import say
from gateway.cli.questions import ask, confirm
from gateway.cli.read import answer_lines, read_meters
from gateway.cli.scan import existing, host_of, search
from gateway.cli.scan_words import Report, why_left_out
from gateway.cli.setup_answers import Setup, plain
from gateway.cli.setup_start import with_intervals
from gateway.commissioning.ports import serial_ports
from gateway.commissioning.scan import FoundMeter, Swept
from gateway.commissioning.setup import answers_of, flaws, met_at, named, place_of, said_of, unmet, written
from gateway.common import event_loop
from gateway.config import Config, Meter, parse_config, parse_ratio
from gateway.errors import ConfigError, GatewayError

_COMPARED = re.compile(
    r"(voltage|current|active_power)_l[123]n?|voltage_(ln|l12)|current|active_power|power_factor|frequency|"
    r"active_energy_(import|export|total)|heat_energy|cooling_energy|volume|volume_flow|temperature_(flow|return)"
)
"""What a person compares with a display; of a meter that has nothing of it, all."""
_SEARCH = {"addresses": None, "baudrate": None, "parity": None, "stopbits": None}


def meters(s: Setup) -> None:
    """Search lines and hosts: of a line the setting of the first find, and the others when meters lack."""
    if s.asks:
        s.answers["scan"] = _asked_places(s)
        s.keep()
    done: dict[str, Swept] = {}
    left_out = _search(s, done, one_setting=True)
    if s.asks:
        lack = not confirm(
            _("Are these all of the meters?"),
            _("No searches every other setting of the lines as well: some minutes each."),
        )
    else:
        lack = bool(unmet(s.answers))
    if lack:
        left_out = _search(s, done, one_setting=False)
    if not s.answers["meters"]:
        raise GatewayError(
            "no meter was found", hint="submeter ports, submeter scan; then: submeter setup meters"
        )
    for text in left_out:
        s.leave_open(text)
    for what, mend in unmet(s.answers) if not s.asks else ():
        s.leave_open(in_words(f"{what} → {mend}"))


def _asked_places(s: Setup) -> list[str]:
    known = s.answers.get("scan") or [place_of(bus) for bus in s.answers.get("buses", ())]
    default = ", ".join(known or [port.name for port in serial_ports()])
    explain = _("Ports like /dev/ttyUSB0, hosts like 192.0.2.10, with commas between → submeter ports")
    told = ask(_("Where are the meters: ports and hosts?"), default, explain, _no_place)
    return _places(told)


def _places(text: str) -> list[str]:
    return list(dict.fromkeys(place.strip() for place in text.split(",") if place.strip()))


def _no_place(text: str) -> str:
    """What is wrong with a list of places; empty when nothing is."""
    for place in _places(text):
        try:
            if not place.startswith("/"):
                host_of(place)
            elif not Path(place).exists():
                return _("There is no port %(port)s → submeter ports") % {"port": place}
        except GatewayError as error:
            return in_words(str(error))
    return ""


def _search(s: Setup, done: dict[str, Swept], *, one_setting: bool) -> list[str]:
    """Search every place; what the file has already stays as it is. A line that is `done` in part goes on
    with what it left out; another one begins where somebody was met before. Gives why meters are left out.
    """
    config = _config_there(s)
    there = answers_of(s.text)
    report = Report(as_json=False, existing=existing(config), proposes=False)
    ratios: dict[str, str] = {}
    left_out = []
    s.answers["buses"], s.answers["meters"] = there.get("buses", []), there.get("meters", [])
    s.answers["left_out"] = []
    for place in s.answers["scan"]:
        options = {**_SEARCH, "one_setting": one_setting, "socket": s.socket}
        swept = search(
            place, config, report, options,
            likely=met_at(s.answers, place), before=done.get(place), met=partial(_keep_met, s, place),
        )  # fmt: skip
        done[place] = swept
        proposal = report.proposals[-1]
        if proposal.bus is not None:
            s.answers["buses"].append(proposal.bus)
        s.answers["meters"] += proposal.meters
        s.answers["left_out"] += [[place, each.unit] for each in proposal.left_out]
        left_out += [f"{place}: {why_left_out(each, proposal)}" for each in proposal.left_out]
        ratios |= {f"{place} {each.unit}": each.identified.ratio for each in swept.found}
        s.answers["ratios"] = {key: ratio for key, ratio in ratios.items() if ratio}
        s.keep()
    return left_out


def _keep_met(s: Setup, place: str, found: FoundMeter) -> None:
    """Note at which setting somebody answers: a search that is broken off begins there the next time."""
    if found.setting is not None:
        there = s.answers.setdefault("met", {})
        there[place] = [found.setting.baudrate, found.setting.parity, found.setting.stopbits]
        s.keep()


def _config_there(s: Setup) -> Config | None:
    try:
        return parse_config(s.text) if s.text else None
    except ConfigError:
        return None


def names(s: Setup) -> None:
    """What each meter is called and feeds, and what is above it."""
    found = s.answers.get("meters")
    if not found:
        raise GatewayError("no meter is known yet", hint="search them: submeter setup meters")
    buses = {bus["name"]: bus for bus in s.answers.get("buses", ())}
    said = s.answers.setdefault("names", {})
    main = ""
    for place, meter in enumerate(found):
        where = place_of(buses[meter["bus"]])
        address = meter.get("address", 1)
        mine = {
            **{key: meter.get(key) for key in ("name", "feeds", "parent", "ct")},
            **said_of(meter, s.answers),
        }
        if not isinstance(said.get(where), dict):
            said[where] = {}
        said[where][str(address)] = mine
        say()
        number = _(", serial number %(number)s") % {"number": meter["serial"]} if meter.get("serial") else ""
        at = {"driver": meter["driver"], "unit": address, "bus": meter["bus"]}
        say(_("%(driver)s, address %(unit)s on %(bus)s") % at + number + ":")
        _ask_name(s, place, mine)
        _ask_parent(s, place, mine, main)
        main = main or str(meter["id"])
        _ask_ratio(s, place, mine, s.answers.get("ratios", {}).get(f"{where} {address}", ""))


def _judged(s: Setup, place: int, mine: dict[str, Any], key: str, text: str) -> str:
    """What is wrong with one answer about a meter; it is taken for the judgement, and again when it is
    right.
    """
    before = mine.get(key)
    mine[key] = plain(text) if key == "ct" else text
    try:
        return in_words(flaws(s.answers, f"meters[{place}].{key}"))
    finally:
        mine[key] = before


def _ask_name(s: Setup, place: int, mine: dict[str, Any]) -> None:
    default = mine.get("name") or str(s.answers["meters"][place]["id"])
    judge = partial(_judged, s, place, mine)
    mine["name"] = ask(
        _("What is it called?"), default, _("People read it on the page."), partial(judge, "name")
    )
    s.keep()
    mine["feeds"] = ask(
        _("What does it feed?"),
        mine.get("feeds") or "",
        _("A place or a load; Enter skips it."),
        partial(judge, "feeds"),
        needed=False,
    )
    s.keep()


def _ask_parent(s: Setup, place: int, mine: dict[str, Any], main: str) -> None:
    """Below which meter it is: as the file says, else the first one."""
    called = {str(each["id"]): str(each.get("name") or "") for each in named(s.answers)}
    ids = list(called)
    own = ids[place]
    explain = _("The meter whose energy holds its own, by id or name; - for a main meter. There are: %(ids)s")
    known = own in {each["id"] for each in answers_of(s.text).get("meters", ())}
    default = mine.get("parent") or ("-" if known or mine.get("parent") == "" else main or "-")

    def meant(text: str) -> str:
        known = [key for key, name in called.items() if key != own and name.casefold() == text.casefold()]
        return text if text in called or len(known) != 1 else known[0]

    def wrong(text: str) -> str:
        if text == "-":
            return ""
        if meant(text) not in ids or meant(text) == own:
            return _("There is no such meter.")
        return _judged(s, place, mine, "parent", meant(text))

    others = ", ".join(f"{key} ({name})" if name else key for key, name in called.items() if key != own)
    if len(ids) == 1:
        mine["parent"] = ""
        return
    parent = ask(_("Below which meter is it?"), default, explain % {"ids": others}, wrong)
    mine["parent"] = "" if parent == "-" else meant(parent)
    s.keep()


def _ask_ratio(s: Setup, place: int, mine: dict[str, Any], read: str) -> None:
    """Its current transformers: as the plate says, beside what the meter is set to."""
    if read:
        say(_("The meter is set to current transformers of %(ratio)s.") % {"ratio": read})
    typed = ask(
        _("Current transformer ratio?"),
        str(mine.get("ct") or read or "1"),
        _("Like 200/5, as on the plate; 1 without transformers."),
        partial(_judged, s, place, mine, "ct"),
    )
    mine["ct"] = plain(typed) if typed != "1" else ""
    s.keep()
    if read and _quotient(typed) != _quotient(read):
        text = _(
            "The meter is set to %(read)s, the plate says %(typed)s: all its powers are wrong by that. → set "
            "the ratio at the meter's display"
        )
        say(text % {"read": read, "typed": typed}, "  ", "! ")


def _quotient(text: str) -> float:
    try:
        return round(parse_ratio(plain(text)), 6)
    except ValueError:
        return 0.0


def values(s: Setup) -> None:
    """Read every meter that was found, and say what cannot be."""
    config = parse_config(with_intervals(written(s.text, s.answers), s.path)[0])
    folder = Path(config.drivers.directory)
    enabled = [meter for meter in config.meters if meter.enabled]
    if not enabled:
        raise GatewayError("no meter is known yet", hint="search them: submeter setup meters")
    drivers = {driver: load_driver(driver, folder) for driver in {meter.driver for meter in enabled}}
    with ExitStack() as lent:
        for bus in config.buses:
            lent.enter_context(borrowed(bus.place, "submeter setup", s.socket))
        answers = event_loop.run(read_meters(config, drivers, enabled))
    for answer in answers:
        say()
        print("\n".join(_compared(answer)))
        _say_side(next(meter for meter in enabled if meter.id == answer["meter"]), answer)
        if answer.get("missing") or contradictions(answer["values"], answer["absent"]):
            s.leave_open(_("%(meter)s: its values are not right") % {"meter": answer["meter"]})
    say()
    if s.asks and not confirm(_("Are these values right?"), _("Compare them with the displays.")):
        raise GatewayError(
            "the values are not right", hint="submeter drivers try, then: submeter setup values"
        )


def _say_side(meter: Meter, answer: dict[str, Any]) -> None:
    """Which side of its transformers a meter shows, only its display and the load tell."""
    if meter.ct == 1 or meter.values != "primary" or not any("current" in name for name in answer["values"]):
        return
    text = _(
        "Its current transformers divide by %(ratio)s: these must be the amperes of the cable. → if they are "
        "those of the transformer's own wire (5 A at most), write values: secondary for %(meter)s"
    )
    say(text % {"ratio": figure(f"{meter.ct:g}"), "meter": meter.id}, "  ")


def _compared(answer: dict[str, Any]) -> list[str]:
    """The values that a person compares with a display, and everything that cannot be."""
    if answer.get("missing"):
        return answer_lines(answer)
    shown = {
        key: {name: found for name, found in answer[key].items() if _COMPARED.fullmatch(name)}
        for key in ("values", "absent")
    }
    if not shown["values"]:
        return answer_lines(answer)
    few = contradictions(shown["values"], shown["absent"])
    every = [text for text in contradictions(answer["values"], answer["absent"]) if text not in few]
    return answer_lines({**answer, **shown}) + contradiction_lines(every, str(answer["driver"]))
