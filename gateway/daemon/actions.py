"""What the commands of this machine may ask of the running daemon, through the control socket."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from gateway.commissioning.swap import MeterSwap, check_typed, counters_of
from gateway.daemon.assembly import Assembly
from gateway.daemon.changes import ConfigurationChange
from gateway.daemon.energy import EnergyWorker, check_known, check_quarters
from gateway.errors import GatewayError, JournalError
from gateway.field import BusWorker, PolledMeter
from gateway.host import Clock
from gateway.journal import Journal, batch_json
from gateway.model import OWN_METER, Event, Reading


class RunningDaemon(Protocol):
    """What is asked of the daemon itself."""

    assembly: Assembly
    journal: Journal
    energy: EnergyWorker
    clock: Clock

    def running(self) -> dict[str, Any]:
        """Which file runs, and since when."""

    async def unread_changes(self) -> dict[str, Any]:
        """What the file says by now otherwise than what runs."""

    async def save_registers(self) -> bool:
        """Write the second copy of the pulse registers; whether it is on disk."""

    async def reload(self) -> list[ConfigurationChange]:
        """Read the configuration again and rebuild: what changed."""


class DaemonActions:
    """What page and commands may ask of a running daemon: implements `Actions` of the control socket."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self._daemon = daemon

    async def poll(self, meter_id: str) -> dict[str, Any]:
        """Poll a meter now, lost or not: its reading, the registers as they came, and what it says of
        itself.
        """
        assembly = self._daemon.assembly
        if assembly.pulses and meter_id in assembly.pulses.inputs:
            return dataclasses.asdict(assembly.pulses.poll(meter_id))
        if assembly.own and meter_id == OWN_METER:
            return dataclasses.asdict(await assembly.own.read())
        meter = assembly.polled(meter_id)
        reading = await meter.read()
        why = meter.error if reading.missing else None
        return {
            **dataclasses.asdict(reading),
            **({"error": why.message, "hint": why.hint} if why else {}),
            "registers": meter.registers,
            "attributes": meter.attributes,
        }

    async def configuration(self) -> dict[str, Any]:
        """Which file runs, and since when."""
        return self._daemon.running()

    async def unread_changes(self) -> dict[str, Any]:
        """What the file says by now otherwise than what runs."""
        return await self._daemon.unread_changes()

    async def lend_bus(self, bus: str, to: str, seconds: float) -> dict[str, Any]:
        """Let a command have a bus; nothing on it is polled meanwhile."""
        return {"bus": bus, "seconds": await self._worker(bus).lend(to, seconds)}

    async def return_bus(self, bus: str) -> dict[str, Any]:
        """End the loan of a bus: it is polled again. Raises GatewayError when there is no such bus."""
        self._worker(bus).resume()
        return {"bus": bus}

    def _worker(self, bus: str) -> BusWorker:
        assembly = self._daemon.assembly
        workers = assembly.workers
        if bus not in workers:
            known = ", ".join(workers) or "none"
            raise GatewayError(f"there is no bus {bus!r}", hint=f"the buses of this gateway are: {known}")
        return workers[bus]

    async def pulses(self) -> list[dict[str, Any]]:
        """Every pulse input with its count, register and health, as JSON values."""
        assembly = self._daemon.assembly
        pulses = assembly.pulses
        return [dataclasses.asdict(health) for health in pulses.health()] if pulses else []

    async def set_pulse(self, meter_id: str, value: float) -> dict[str, Any]:
        """Set the register of a pulse input; on disk when this returns. Raises JournalError when it is set
        but not on disk yet.
        """
        assembly = self._daemon.assembly
        if assembly.pulses is None:
            raise GatewayError(
                "this gateway has no pulse inputs", hint="add them to the configuration, under pulses:"
            )
        fields = assembly.pulses.set(meter_id, value)
        refused = await assembly.slots.flush()
        copied = await self._daemon.save_registers()
        if refused is None:
            return fields
        left = (
            f"{meter_id} is set to {value} at pulse {fields['pulse_count']}, but not on disk yet: "
            f"{refused.message}"
        )
        if copied:
            hint = (
                "its second copy is kept: a power cut does not undo it. Do not set it again; make room "
                "for the journal"
            )
        else:
            hint = "a power cut now undoes it: make room for the journal, then look at submeter pulses"
        raise JournalError(left, hint=hint)

    async def journal_status(self) -> dict[str, Any]:
        """What the journal says of itself, and its epochs."""
        journal = self._daemon.journal
        return journal.stats().to_json()

    async def journal_rows(
        self, first: int, last: int, limit: int, epoch: str | None = None
    ) -> list[dict[str, Any]]:
        """Batches as they stand in the journal, oldest first."""
        rows: list[dict[str, Any]] = []
        journal = self._daemon.journal
        for name, low, high in journal.epochs():
            if epoch in {None, name} and low <= last and high >= first:
                found = await journal.find(name, max(first, low), min(last, high), limit - len(rows))
                rows += [batch_json(sealed) for sealed in found]
            if len(rows) >= limit:
                break
        return rows

    async def correct(
        self, meter: str, quantity: str, *, first: int, last: int, value: int, why: str
    ) -> dict[str, Any]:
        """Set what a register took; the event is on disk when this returns, the engine does the rest. Asked
        again at once it tells what was set.
        """
        quarters, daemon = check_quarters(first, last), self._daemon
        held = await daemon.energy.register_intervals(meter, quantity, first, last)
        check_known(len(held), quarters, meter, quantity)
        fields = {"meter": meter, "quantity": quantity, "from": first, "to": last, "value": value, "why": why}
        await self._tell("intervals_corrected", fields)
        await daemon.energy.write()  # whoever looks now sees it
        return {**fields, "intervals": len(held), "was": sum(interval.value for interval in held)}

    # -- the exchange of a meter

    async def begin_swap(self, meter: str, closing: dict[str, float], *, by: str, why: str) -> dict[str, Any]:
        """Close the registers of a meter at what it shows now, or at what was typed."""
        assembly, clock = self._daemon.assembly, self._daemon.clock
        if (begun := assembly.swaps.get(meter)) is not None:
            return {**dataclasses.asdict(begun), "resumed": True}
        polled = assembly.polled(meter)
        known = self._registers(meter)
        check_typed(meter, closing, known)
        serial = polled.attributes.get("serial_number", "")
        other, how = polled.other_serial, "typed" if closing else "read"
        if other is not None:
            serial = other[0]
            how = how if closing else "unknown"
            if not polled.config.serial:
                return {"meter": meter, "noticed": list(other)}
        if how == "read":
            closing = counters_of(*_believed(await self._answer(polled, closing=True)))
        swap = MeterSwap(meter, clock.wall(), closing, how, serial, by, why)  # type: ignore[arg-type]
        await assembly.slots.flush()  # what the old meter said is before it
        assembly.swaps.begin(swap)
        polled.attributes.clear()
        fields = {name: value for name, value in dataclasses.asdict(swap).items() if name != "since"}
        await self._tell("meter_swap_begun", fields)
        return {**dataclasses.asdict(swap), "resumed": False, "last": known}

    async def confirm_swap(self, meter: str, *, by: str, why: str) -> dict[str, Any]:
        """The meter that answers in another one's place is meant to."""
        assembly = self._daemon.assembly
        polled = assembly.polled(meter)
        other = polled.other_serial
        if other is None:
            raise GatewayError(
                f"no other meter answers in the place of {meter}", hint=f"submeter swap {meter} exchanges it"
            )
        assembly.replaced(meter)
        fields = {"meter": meter, "old": other[0], "new": other[1], "by": by, "why": why}
        await self._tell("meter_swap_confirmed", fields)
        return fields

    async def new_meter(self, meter: str) -> dict[str, Any]:
        """What answers in the place of a meter that is being exchanged."""
        assembly = self._daemon.assembly
        swap = assembly.swaps.get(meter) or assembly.swaps.end(meter)
        polled = assembly.polled(meter)
        reading = await self._answer(polled, closing=False)
        return {
            "meter": meter,
            "serial": polled.attributes.get("serial_number", ""),
            "same": polled.has_serial(swap.serial),
            "opening": counters_of(*_believed(reading, doubt=False)),
            "values": reading.values,
            "configured": polled.config.serial,
        }

    async def end_swap(self, meter: str, opening: dict[str, float], *, same: bool) -> dict[str, Any]:
        """Open the registers of the new meter at what it shows now, or at what was typed."""
        assembly = self._daemon.assembly
        swap = assembly.swaps.get(meter) or assembly.swaps.end(meter)
        polled = assembly.polled(meter)
        check_typed(meter, opening, {})
        reading, typed = None, bool(opening)
        if not typed:
            reading = await self._answer(polled, closing=False)
            opening = counters_of(*_believed(reading, doubt=False))
            if polled.has_serial(swap.serial) and not same:
                raise GatewayError(
                    f"{swap.serial} answers as before: meter {meter} was not exchanged",
                    hint=f"submeter swap {meter} --cancel reads it on; --same-meter: it was only reset",
                )
        assembly.swaps.end(meter)
        assembly.replaced(meter)
        fields = {
            "meter": meter, "old": swap.serial, "new": polled.attributes.get("serial_number", ""),
            "closing": swap.closing, "opening": opening,
            "closing_how": swap.how, "opening_how": "typed" if typed else "read",
            "by": swap.by, "why": swap.why,
        }  # fmt: skip
        await self._tell("meter_swapped", fields, reading)
        return {**fields, "since": swap.since}

    async def cancel_swap(self, meter: str) -> dict[str, Any]:
        """It was not exchanged: it is read on."""
        assembly = self._daemon.assembly
        assembly.swaps.end(meter)
        await self._tell("meter_swap_cancelled", {"meter": meter})
        return {"meter": meter}

    async def swap_pulses(
        self, meter: str, opening: float, closing: float | None, *, by: str, why: str
    ) -> dict[str, Any]:
        """The meter behind a pulse input was exchanged: its register begins at what the new display shows."""
        assembly = self._daemon.assembly
        if assembly.pulses is None or meter not in assembly.pulses.inputs:
            raise GatewayError(f"{meter} is no pulse input", hint="submeter pulses lists them")
        quantity: str = assembly.pulses.inputs[meter].config.quantity
        last = assembly.pulses.poll(meter).values
        typed = {} if closing is None else {quantity: closing}
        check_typed(meter, typed, last)
        check_typed(meter, {quantity: opening}, {})
        await assembly.slots.flush()
        fields = {
            "meter": meter, "old": "", "new": "",
            "closing": typed or {quantity: last[quantity]}, "opening": {quantity: opening},
            "closing_how": "typed" if typed else "read", "opening_how": "typed", "by": by, "why": why,
        }  # fmt: skip
        # In the same breath: no pulse comes between the old register and the new one.
        assembly.slots.tell(Event("meter_swapped", self._daemon.clock.uptime(), fields))
        await self.set_pulse(meter, opening)
        return fields

    def _registers(self, meter: str) -> dict[str, float]:
        """The registers of a meter as they were last read in this run."""
        assembly = self._daemon.assembly
        values = assembly.last_values.meters[meter].values
        return counters_of({name: last.value for name, last in values.items() if not last.suspect})

    async def _answer(self, polled: PolledMeter, *, closing: bool) -> Reading:
        """What it says now. Raises GatewayError when that is nothing."""
        reading = await polled.read()
        if reading.missing:
            why = polled.error.message if polled.error else reading.missing
            if closing:
                hint = (
                    f"take the last index from its display: submeter swap {polled.id} --closing INDEX "
                    "--by NAME --why REASON"
                )
            else:
                hint = (
                    f"set address {polled.config.address} and the line's baud rate and parity on it"
                    ", then try again; or type what its display shows: --opening INDEX"
                )
            raise GatewayError(f"meter {polled.id} does not answer: {why}", hint=hint)
        return reading

    async def _tell(self, kind: str, fields: dict[str, Any], reading: Reading | None = None) -> None:
        """An event, on disk when this returns, and the reading that goes with it. Raises JournalError."""
        assembly = self._daemon.assembly
        slots = assembly.slots
        slots.tell(Event(kind, reading.uptime if reading else self._daemon.clock.uptime(), fields))
        if reading is not None:
            slots.add(reading)
        refused = await slots.flush()
        if refused is not None:
            raise refused

    async def reload(self) -> dict[str, Any]:
        """Read the configuration again and rebuild."""
        changes = await self._daemon.reload()
        return {
            "messages": [change.words for change in changes],
            "changed": [change.fields for change in changes],
        }


def _believed(reading: Reading, *, doubt: bool = True) -> tuple[dict[str, float], tuple[str, ...]]:
    """Values and what is suspect of them; a new meter's registers are doubted only because they are new."""
    return reading.values, reading.suspect if doubt else ()
