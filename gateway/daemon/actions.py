"""What the commands of this machine may ask of the running daemon, through the control socket."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from gateway.daemon.assembly import Assembly
from gateway.daemon.energy import EnergyWorker
from gateway.errors import GatewayError, JournalError
from gateway.field import BusWorker
from gateway.host import Clock
from gateway.journal import Journal, batch_json
from gateway.model import Event


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

    async def reload(self) -> list[str]:
        """Read the configuration again and rebuild; lines that say what changed."""


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
        """Poll the bus again."""
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
        """Every pulse input."""
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
        """Set what a register took; the event is on disk when this returns, the engine does the rest."""
        daemon = self._daemon
        held = await daemon.energy.held(meter, quantity, first, last)
        if not held:
            raise GatewayError(
                f"nothing is known of {quantity} of {meter} at that time",
                hint="submeter energy prints what is known, by meter and day",
            )
        fields = {"meter": meter, "quantity": quantity, "from": first, "to": last, "value": value, "why": why}
        slots = daemon.assembly.slots
        slots.tell(Event("intervals_corrected", daemon.clock.uptime(), fields))
        refused = await slots.flush()
        if refused is not None:
            raise refused
        return {**fields, "intervals": len(held), "was": sum(interval.value for interval in held)}

    async def reload(self) -> list[str]:
        """Read the configuration again and rebuild."""
        return await self._daemon.reload()
