"""One bus from end to end: its port, its line or its host, and what the meters' values say."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.commissioning.doctor.asking import HostAsk, LineAsk
from gateway.commissioning.doctor.diagnosis import Diagnosis, ExaminedPart, SentenceFacts
from gateway.commissioning.doctor.host import judge_host, measure_host
from gateway.commissioning.doctor.line.judge import judge_line
from gateway.commissioning.doctor.line.measure import LineMeasurement
from gateway.commissioning.doctor.line.reads import LineProgress, MeasuredLine
from gateway.commissioning.doctor.line.traces import Elsewhere, LineTraces
from gateway.commissioning.doctor.line.ways import ConverterLine, PortLine
from gateway.commissioning.doctor.machine import kernel_losses
from gateway.commissioning.doctor.targets import Target
from gateway.commissioning.doctor.values import Ask, examine_values
from gateway.commissioning.scan import HostProbe, LineSetting
from gateway.common import event_loop
from gateway.config import Bus, SerialBus, TcpBus
from gateway.errors import BusDown
from gateway.field import port_trouble

_MOST_PORTS: Final = 4

Tell = Callable[[LineProgress], None]


class PortAccess(Protocol):
    """How ports are got at."""

    def line(self, port: str, setting: LineSetting) -> MeasuredLine:
        """A port to measure on."""

    def trouble(self, bus: SerialBus) -> BusDown | None:
        """Why it cannot be used now."""

    def losses(self, port: str) -> int | None:
        """How often the kernel has lost it of late."""


class RealPorts:
    """The ports of this machine; `buses` tell which of them have a direction pin."""

    def __init__(self, buses: Sequence[Bus] = ()) -> None:
        self._pins = {bus.port: bus.direction_pin for bus in buses if isinstance(bus, SerialBus)}

    def line(self, port: str, setting: LineSetting) -> MeasuredLine:
        """A port to measure on."""
        return PortLine(port, setting, self._pins.get(port))

    def trouble(self, bus: SerialBus) -> BusDown | None:
        """Why it cannot be used now."""
        return port_trouble(bus)

    def losses(self, port: str) -> int | None:
        """How often the kernel has lost it of late."""
        return kernel_losses(port)


@dataclass(frozen=True, slots=True)
class BusSurroundings:
    """What is known beside the bus itself. `others`: free ports without a configured bus; `settings`: what a
    search tries.
    """

    access: PortAccess
    others: tuple[str, ...] = ()
    settings: tuple[LineSetting, ...] = ()


def examine_bus(
    bus: Bus, targets: Sequence[Target], around: BusSurroundings, tell: Tell = lambda _: None
) -> ExaminedPart:
    """Measure a bus and say what is wrong with it."""
    found = ExaminedPart(f"bus {bus.name}")
    if isinstance(bus, TcpBus) and bus.type == "tcp":
        measured = measure_host(bus, targets, lambda what: tell(LineProgress("host", what, 0.0)))
        found.found += judge_host(found.part, bus, measured, targets)
        _note_host(found, bus, len(targets))
        host = HostProbe(bus.host, bus.port)
        try:
            _values(found, targets, lambda target: HostAsk(host, target), time.sleep, tell)
        finally:
            host.close()
        return found
    if isinstance(bus, SerialBus):
        _serial(found, bus, targets, around, tell)
    else:
        plan = _LinePlan(targets, tell, silence=bus.silence or 0.0)
        _line(found, ConverterLine(bus.host, bus.port), plan)
    return found


def _serial(
    found: ExaminedPart, bus: SerialBus, targets: Sequence[Target], around: BusSurroundings, tell: Tell
) -> None:
    setting = LineSetting(bus.baudrate, bus.parity, bus.stopbits)
    trouble = around.access.trouble(bus)
    if trouble is not None:
        found.note("port", ok=False, port=bus.port)
        if trouble.cause in {"no_port", "no_device"}:
            other = _on_another_port(targets, around, setting, tell)
            if other is not None:
                facts: SentenceFacts = {"port": bus.port, "there": other.port, "missing": 1.0}
                found.found.append(Diagnosis(found.part, "renumbered", 0.97, "stops", "", (), facts))
                return
        found.find("said", step="port", what=trouble.message, mend=trouble.hint, who="here")
        return
    found.note("port", port=bus.port)
    losses = around.access.losses(bus.port)
    plan = _LinePlan(targets, tell, around.settings, bus.silence or 0.0, losses)
    traces = _line(found, around.access.line(bus.port, setting), plan)
    if traces is None or traces.elsewhere or any(trace.known for trace in traces.every()) or traces.vanished:
        return
    other = _on_another_port(targets, around, setting, tell)
    if other is not None:
        facts = {"port": bus.port, "there": other.port, "missing": 0.0}
        found.found = [Diagnosis(found.part, "renumbered", 0.95, "stops", "", (), facts)]


@dataclass(frozen=True, slots=True)
class _LinePlan:
    targets: Sequence[Target]
    tell: Tell
    settings: Sequence[LineSetting] = ()
    silence: float = 0.0
    losses: int | None = None


def _line(found: ExaminedPart, line: MeasuredLine, plan: _LinePlan) -> LineTraces | None:
    """Measure a line and judge it, then what its meters say; None when it could not be opened."""
    try:
        line.open()
    except BusDown as error:
        found.note("port", ok=False, port=line.name)
        found.find("said", step="port", what=error.message, mend=error.hint, who="here")
        return None
    try:
        measurement = LineMeasurement(
            line, plan.targets, silence=plan.silence, settings=plan.settings, tell=plan.tell
        )
        measurement.traces.history = plan.losses
        traces = measurement.run()
        found.found += judge_line(found.part, traces, plan.targets)
        _note_line(found, traces, plan.targets)
        there = [t for t in plan.targets if any(trace.good for trace in traces.reads.get(t.id, ()))]
        _values(found, there, lambda target: LineAsk(line, target, plan.silence), line.rest, plan.tell)
    finally:
        line.close()
    return traces


def _values(
    found: ExaminedPart,
    targets: Sequence[Target],
    ask_of: Callable[[Target], Ask],
    rest: Callable[[float], None],
    tell: Tell,
) -> None:
    """What the values of these meters say, where neither their bus nor they themselves are ill."""
    if any(each.severity != "warns" and not each.meter for each in found.found):
        return
    ill = {each.meter for each in found.found}
    for target in targets:
        if target.id not in ill:
            tell(LineProgress("values", target.id, 0.0))
            with suppress(BusDown):
                found.found += event_loop.run(examine_values(found.part, target, ask_of(target), rest))


def _on_another_port(
    targets: Sequence[Target], around: BusSurroundings, setting: LineSetting, tell: Tell
) -> Elsewhere | None:
    """Whether the meters answer on a port that no bus is configured on."""
    for port in around.others[:_MOST_PORTS]:
        line = around.access.line(port, setting)
        try:
            line.open()
        except BusDown:
            continue
        try:
            measurement = LineMeasurement(line, targets, tell=tell)
            if any(measurement.answers_at(target) for target in targets):
                return Elsewhere(targets[0].unit, setting, port)
        finally:
            line.close()
    return None


def _note_line(found: ExaminedPart, traces: LineTraces, targets: Sequence[Target]) -> None:
    """A line for what was measured, and one for the meters that answer."""
    every = traces.every()
    if not targets:
        found.note("no_meters", ok=None)
        return
    answering = sum(any(trace.known for trace in traces.reads.get(target.id, ())) for target in targets)
    found.note("meters", ok=answering == len(targets), count=answering, all=len(targets))
    took = sorted(trace.took for trace in every if trace.good)
    good = sum(trace.good for trace in every)
    if took:
        found.note("reads", ok=not found.found, good=good, all=len(every), ms=1000 * took[len(took) // 2])
    if traces.echo:
        found.note("echo")


def _note_host(found: ExaminedPart, bus: TcpBus, count: int) -> None:
    if not count:
        found.note("no_meters", ok=None)
        return
    ill = {each.meter for each in found.found}
    answering = 0 if "" in ill else count - len(ill)
    found.note("host", ok=not found.found, where=bus.place, count=answering, all=count)
