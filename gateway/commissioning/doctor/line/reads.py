"""Ask the meters of one line, and listen to it: each request with everything that was heard of it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway.catalogue import Span
from gateway.commissioning.doctor.line.traces import LineTraces, Trace, idle_of, trace_of
from gateway.commissioning.doctor.targets import Target
from gateway.commissioning.scan import LineCounters, LineSetting, RawExchange, placed
from gateway.errors import BusDown
from gateway.field import sealed

LONGEST: Final = 90.0
"""s that one line may take before the search at other settings."""
FIRST_WAIT: Final = 0.5
"""s for a meter that has never answered."""
LINGER: Final = 0.06
"""s behind an answer in which a second one would come."""
_SLOW: Final = 1.0
"""s after which the gateway does not wait for an answer any more, where nobody has said how long."""
_LATEST: Final = 4.0
"""s behind a silent read in which its answer may come after all."""
_BACK: Final = 8.0
"""s that a lost port is waited for."""


class MeasuredLine(Protocol):
    """A line that bytes can be sent on; `now` and `rest` are its clock."""

    name: str
    setting: LineSetting | None

    def open(self) -> None:
        """Open it. Raises BusDown."""

    def close(self) -> None:
        """Close the port or the connection, so that others can open it."""

    def use(self, setting: LineSetting) -> None:
        """Go on at another setting. Raises BusDown."""

    def raw(self, sent: bytes, wait: float, linger: float = 0.0) -> RawExchange:
        """Send and listen. Raises BusDown."""

    def counters(self) -> LineCounters | None:
        """What the port's driver has counted."""

    def now(self) -> float:
        """Seconds on its clock."""

    def rest(self, seconds: float) -> None:
        """Let time pass."""


@dataclass(frozen=True, slots=True)
class LineProgress:
    """Where the measurement of a line is: `stage` is a word of the words, `left` s at most."""

    stage: str
    meter: str
    left: float


Tell = Callable[[LineProgress], None]


class LineReads:
    """One line and the meters that the configuration has on it. `settings`: all that a search may try, the
    likelier first.
    """

    def __init__(
        self,
        line: MeasuredLine,
        targets: Sequence[Target],
        *,
        silence: float = 0.0,
        settings: Iterable[LineSetting] = (),
        tell: Tell = lambda _: None,
    ) -> None:
        self.traces = LineTraces(line.setting)
        self._line, self._targets = line, list(targets)
        self._silence = silence
        self._settings = list(settings)
        self._tell = tell
        self._wait: dict[str, float] = {}
        self._asked_at = -1e9
        self._newest = ""
        """The meter that was asked last."""
        self._began = line.now()

    def _ask(self, target: Target, stage: str, spans: Iterable[Span], *, pause: float = 0.0) -> None:
        reads = self.traces.of(target.id)
        for span in spans:
            self._tell(LineProgress(stage, target.id, max(0.0, LONGEST - self._spent())))
            linger = LINGER if pause or stage == "first" else 0.0
            self._newest = target.id
            reads.append(self._read(target, span, pause=pause, linger=linger))

    def _read(self, target: Target, span: Span, *, pause: float = 0.0, linger: float = 0.0) -> Trace:
        """One read; without `linger` the next one may follow at once. The port may vanish and come back."""
        function, address, count = span.function, span.address, span.words
        own = max(target.gap, self._silence)
        pdu = struct.pack(">BHH", function, address, count)
        before = self._line.counters()
        self._rest(own + pause)
        at = self._line.now()
        try:
            heard = self._line.raw(sealed(target.unit, pdu), self._patience(target), linger)
        except BusDown:
            self._lost()
            return Trace(target.unit, at, count, "silent", pause=pause)
        self._asked_at = self._line.now()
        self._early(heard.early, at)
        trace = trace_of(heard, unit=target.unit, function=function, count=count, at=at, pause=pause)
        self.traces.echo = self.traces.echo or heard.data.startswith(heard.sent)
        if trace.good:
            trace = replace(trace, late=trace.took > max(_SLOW, target.patience or 0.0))
            self._wait[target.id] = max(self._wait.get(target.id, 0.0), 4 * trace.took + 0.1)
        after = self._line.counters()
        if before is None or after is None:
            return trace
        marks = sum((after.frame - before.frame, after.parity - before.parity, after.breaks - before.breaks))
        return replace(trace, marks=max(0, marks))

    def _hear_late(self, target: Target) -> None:
        """Listen for the answer to a read that was silent; from then on it is waited for."""
        reads, began = self.traces.of(target.id), self._line.now()
        heard = self._overhear(_LATEST)
        if heard is None:
            return
        self._asked_at = self._line.now()
        if any(frame[0] == target.unit for _, frame in placed(heard.early + heard.data)):
            took = began - reads[-1].at + heard.took
            reads[-1] = replace(reads[-1], late=True, took=took)
            self._wait[target.id] = 4 * took + 0.1
        else:
            self.traces.note_idle(idle_of(heard.early + heard.data, self._line.now() - began))

    def _patience(self, target: Target) -> float:
        known = self._wait.get(target.id)
        return known if known is not None else max(FIRST_WAIT, target.patience or 0.0)

    def _rest(self, gap: float) -> None:
        """Keep the line quiet for `gap` s since the last exchange."""
        since = self._line.now() - self._asked_at
        if since < gap:
            self._line.rest(gap - since)

    def _early(self, data: bytes, at: float) -> None:
        """What came between two reads: a late answer belongs to the read before it."""
        if not data:
            return
        units = {frame[0] for _, frame in placed(data)}
        for target in self._targets:
            reads = self.traces.of(target.id)
            if reads and reads[-1].unit in units and not reads[-1].good and at - reads[-1].at < 10:
                reads[-1] = replace(reads[-1], late=True)
                units.discard(reads[-1].unit)
                return
        idle = idle_of(data, 0.0)
        self.traces.note_idle(replace(idle, noise=0))
        reads = self.traces.of(self._newest) if self._newest else []
        if reads and idle.noise:
            reads[-1] = replace(reads[-1], tail=reads[-1].tail + idle.noise)

    def _lost(self) -> None:
        """The port has vanished: wait for it. Raises BusDown when it does not come back."""
        self.traces.losses += 1
        until = self._line.now() + _BACK
        self._line.close()
        while True:
            self._line.rest(0.5)
            try:
                self._line.open()
            except BusDown:
                if self._line.now() >= until:
                    raise
            else:
                return

    def _listen(self, seconds: float) -> None:
        self._tell(LineProgress("listen", "", max(0.0, LONGEST - self._spent())))
        heard = self._overhear(seconds)
        if heard is not None:
            self.traces.note_idle(idle_of(heard.early + heard.data, seconds))

    def _overhear(self, seconds: float) -> RawExchange | None:
        """What comes while nobody of us asks; None when the port has vanished, and is back."""
        try:
            return self._line.raw(b"", seconds)
        except BusDown:
            self._lost()
            return None

    def _spent(self) -> float:
        return self._line.now() - self._began
