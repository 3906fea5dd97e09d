"""What the control socket can ask of the daemon, beside its snapshot. Answers are JSON values."""

from __future__ import annotations

from typing import Any, Protocol


class Actions(Protocol):
    """Implemented by the daemon, called on the event loop.

    A refusal is a GatewayError: its message and hint reach the person who asked. BusError, JournalError and
    ConfigError get status codes of their own; a ConfigError's problems are passed on one by one.
    """

    async def poll(self, meter_id: str) -> dict[str, Any]:
        """Poll a meter now, lost or not, and give its reading: `{meter, uptime, values, absent, missing,
        suspect}`.
        """

    async def configuration(self) -> dict[str, Any]:
        """Which file runs, since when it does, and the building's time zone: `{path, read, timezone}`; `read`
        is UTC in ms.
        """

    async def unread_changes(self) -> dict[str, Any]:
        """What the file says by now otherwise than what runs: `{changes, meters, problems}`, lines,
        those of each meter by its id, and lines.
        """

    async def lend_bus(self, bus: str, to: str, seconds: float) -> dict[str, Any]:
        """Let a command have a bus for so long, or for so long again: `{bus, seconds}`."""

    async def return_bus(self, bus: str) -> dict[str, Any]:
        """The command is done with it: `{bus}`."""

    async def pulses(self) -> list[dict[str, Any]]:
        """Every pulse input, the fields of gateway.field.PulseHealth: count, register, what was
        rejected, state.
        """

    async def set_pulse(self, meter_id: str, value: float) -> dict[str, Any]:
        """The display of a meter with a pulse output shows `value` now: `{meter, quantity, old, new,
        pulse_count}`.
        """

    async def correct(
        self, meter: str, quantity: str, *, first: int, last: int, value: int, why: str
    ) -> dict[str, Any]:
        """What a register took from `first` to `last` (ms UTC) was `value` (whole base units), says a person:
        `{meter, quantity, from, to, value, why, intervals, was}`.
        """

    async def begin_swap(self, meter: str, closing: dict[str, float], *, by: str, why: str) -> dict[str, Any]:
        """A meter is about to be exchanged: its registers end at what it shows now, or at `closing` (by
        quantity, in its unit). `{meter, since, closing, how, serial, by, why, resumed, last}`; or `{meter,
        noticed: [old, new]}` when another meter answers already.
        """

    async def confirm_swap(self, meter: str, *, by: str, why: str) -> dict[str, Any]:
        """The meter that answers in another one's place is meant to: `{meter, old, new, by, why}`."""

    async def new_meter(self, meter: str) -> dict[str, Any]:
        """What answers in the place of a meter that is being exchanged: `{meter, serial, same, opening,
        values, configured}`.
        """

    async def end_swap(self, meter: str, opening: dict[str, float], *, same: bool) -> dict[str, Any]:
        """The new meter is there: its registers begin at what it shows now, or at `opening`. The fields of
        the event `meter_swapped`, and `since`. `same`: also when its serial number is that of the old one.
        """

    async def cancel_swap(self, meter: str) -> dict[str, Any]:
        """It was not exchanged: it is read on."""

    async def swap_pulses(
        self, meter: str, opening: float, closing: float | None, *, by: str, why: str
    ) -> dict[str, Any]:
        """The meter behind a pulse input was exchanged: the fields of the event `meter_swapped`."""

    async def journal_status(self) -> dict[str, Any]:
        """Epochs, counts, sizes, state of the journal."""

    async def journal_rows(
        self, first: int, last: int, limit: int, epoch: str | None = None
    ) -> list[dict[str, Any]]:
        """Batches with seq from `first` to `last`, oldest first, at most `limit`; of one epoch or of any."""

    async def reload(self) -> dict[str, Any]:
        """Read the configuration again and rebuild: `{messages, changed}`, a line for each change and, in
        the same order, the fields of its event `configuration_changed`. Raises ConfigError and changes
        nothing.
        """
