"""Measure one line: listen, ask short and long, fast and slow, and look elsewhere for whom does not answer.
What it means is judged in `causes`.

It asks little of a sound line and more of one that shows something, within `LONGEST` seconds.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import cycle
from typing import Final

from gateway.catalogue import Row
from gateway.commissioning.doctor.line.reads import FIRST_WAIT, LINGER, LONGEST, LineProgress, LineReads
from gateway.commissioning.doctor.line.traces import Elsewhere, LineTraces, trace_of
from gateway.commissioning.doctor.targets import Target
from gateway.commissioning.scan import LineSetting
from gateway.errors import BusDown
from gateway.field import Replies, decode, registers_of, sealed

_LEAST: Final = 10.0
"""s that a line is watched for where somebody answers."""
_LISTEN: Final = 1.0
_LISTEN_AGAIN: Final = 5.0
_SEARCH_WAIT: Final = 0.15
_FIRST: Final = 3
_LISTENED_FOR: Final = 4
"""Silent meters whose answer may rather come late."""
_MORE: Final = 5
_DOUBT: Final = 24
_RELAXED: Final = 0.3
"""s of rest before every second read of a line in doubt: who only fails when asked at once shows himself."""
_SERIALS: Final = 4
_AGAIN: Final = 6
_MOST_SOUGHT: Final = 4
"""Meters that are asked for at every other setting."""


class LineMeasurement(LineReads):
    """The measurement of one line."""

    def run(self) -> LineTraces:
        """Measure; the line must be open. Raises BusDown only when it never worked."""
        traces = self.traces
        try:
            self._measure()
        except BusDown:
            traces.vanished = True
            traces.losses += 1
        traces.seconds = self._line.now() - self._began
        return traces

    def answers_at(self, target: Target) -> bool:
        """Whether a meter answers at the line's present setting."""
        return self._line.setting is not None and self._there(target, target.unit, self._line.setting)

    def _measure(self) -> None:
        self._listen(_LISTEN)
        listened = 0
        for target in self._targets:
            self._ask(target, "first", [target.short])
            if not self.traces.of(target.id)[-1].size and listened < _LISTENED_FOR:
                listened += 1
                self._hear_late(target)
            self._ask(target, "first", [target.short] * (_FIRST - 1))
        if any(trace.known for trace in self.traces.every()):
            for target in self._targets:
                if self._answers(target):
                    self._ask(target, "more", [target.short, target.long, target.long] * _MORE)
                    self._serial(target)
            self._watch()
            if self._doubtful():
                self._doubt()
            for target in self._targets:
                if not self._answers(target) and not any(t.size for t in self.traces.of(target.id)):
                    self._seek_one(target)
        else:
            if any(trace.size for trace in self.traces.every()):
                self._listen(_LISTEN_AGAIN)
            self._seek_all()

    def _watch(self) -> None:
        """Ask on at ease until it was watched for long: falling adapters and bursts leave sound seconds."""
        there = cycle([target for target in self._targets if self._answers(target)])
        while self._spent() < _LEAST:
            target = next(there)
            self._ask(target, "more", [target.short, target.long], pause=_RELAXED)

    def _serial(self, target: Target) -> None:
        """Its serial number, several times: two meters at one address take turns."""
        row = target.serial
        if row is None:
            return
        reads = self.traces.of(target.id)
        for _ in range(_SERIALS):
            trace = self._read(target, row.spans[0], linger=LINGER)
            reads.append(trace)
            if trace.outcome == "answer" and (number := _serial_number(row, trace.words)):
                self.traces.note_serial(target.id, number)

    # ---- when there is a doubt

    def _doubtful(self) -> bool:
        """Whether anything is not as on a sound line."""
        every = self.traces.every()
        answering = [trace for trace in every if any(t.known and t.unit == trace.unit for t in every)]
        return (
            any(
                not trace.good or trace.lead or trace.tail or trace.answers > 1 or trace.not_ready
                for trace in answering
            )
            or any(idle.noise or idle.masters or idle.others for idle in self.traces.idle)
            or any(trace.masters or trace.others for trace in every)
            or self.traces.losses > 0
        )

    def _doubt(self) -> None:
        """Short and long reads in turn, every second one well rested, of all who answer; then listen."""
        targets = [target for target in self._targets if self._answers(target)]
        for turn in range(_DOUBT):
            for target in targets:
                if self._spent() > LONGEST:
                    break
                span = target.long if turn % 4 >= 2 else target.short
                self._ask(target, "doubt", [span], pause=_RELAXED if turn % 2 else 0.0)
            if turn % 6 == 0:
                self._listen(_LISTEN_AGAIN / 4)

    def _answers(self, target: Target) -> bool:
        return any(trace.known for trace in self.traces.of(target.id))

    # ---- looking elsewhere

    def _seek_all(self) -> None:
        """Nobody answers: ask for the meters at every other setting, the likelier first."""
        own = self._line.setting
        sought = self._targets[:_MOST_SOUGHT]
        units = {target.unit: target for target in sought}
        setting, hit = self._answered_at(self._settings, [*units.values()])
        if setting is not None and not self._by_chance(hit[0], setting, own):
            for target in self._targets:
                if target in hit or self._there(target, target.unit, setting):
                    self.traces.note_elsewhere(Elsewhere(target.unit, setting, meter=target.id))
        if own is not None:
            self._line.use(own)
        # Three damaged answers in a row are no silence: at its own setting the line is asked once more.
        if not hit and not any(self._here_after_all(target) for target in sought):
            for target in sought:
                self._seek_factory(target)
        self.traces.searched = True

    def _answered_at(
        self, settings: Sequence[LineSetting], targets: Sequence[Target]
    ) -> tuple[LineSetting | None, list[Target]]:
        """The first of these settings beside the line's own at which some of the targets answer, and which
        do; the line stays there.
        """
        others = [setting for setting in settings if setting != self._line.setting]
        for place, setting in enumerate(others):
            left = (len(others) - place) * len(targets) * (_SEARCH_WAIT + 0.1)
            self._tell(LineProgress("settings", str(setting), left))
            self._line.use(setting)
            if hit := [target for target in targets if self._there(target, target.unit, setting)]:
                return setting, hit
        return None, []

    def _by_chance(self, target: Target, setting: LineSetting, own: LineSetting | None) -> bool:
        """Whether the meter answers as well at the line's own setting: then it is the line that is ill."""
        if own is None:
            return False
        there = sum(self._there(target, target.unit, setting) for _ in range(_AGAIN))
        self._line.use(own)
        here = self._here_after_all(target)
        self._line.use(setting)
        return here or not there

    def _here_after_all(self, target: Target) -> bool:
        """Whether the meter answers at the line's own setting, asked again."""
        before = len(self.traces.of(target.id))
        self._ask(target, "doubt", [target.short] * _AGAIN)
        here = any(trace.good for trace in self.traces.of(target.id)[before:])
        if here:
            self._doubt()
        return here

    def _seek_one(self, target: Target) -> None:
        """Others answer, this one does not: as it left the factory, then at every other setting."""
        own = self._line.setting
        if self._seek_factory(target):
            return
        usual = [setting for setting in self._settings if setting.stopbits == 1]
        setting, _ = self._answered_at(usual, [target])
        if setting is not None:
            self.traces.note_elsewhere(Elsewhere(target.unit, setting, meter=target.id))
        if own is not None:
            self._line.use(own)

    def _seek_factory(self, target: Target) -> bool:
        """At the address and the setting that its table names as the factory's."""
        own = self._line.setting
        unit = target.driver.serial.address or 1
        taken = {each.unit for each in self._targets if each.id != target.id}
        places = [(unit, own), (target.unit, target.factory), (unit, target.factory)]
        for address, setting in dict.fromkeys(places):
            if setting is None or (address, setting) == (target.unit, own):
                continue
            if address in taken and setting == own:
                continue
            self._line.use(setting)
            found = self._there(target, address, setting)
            if own is not None:
                self._line.use(own)
            if found:
                self.traces.note_elsewhere(Elsewhere(address, setting, meter=target.id))
                return True
        return False

    def _there(self, target: Target, unit: int, setting: LineSetting) -> bool:
        """Whether somebody answers at that address now, in two attempts."""
        span = target.short
        pdu = struct.pack(">BHH", span.function, span.address, span.words)
        wait = max(_SEARCH_WAIT, min(FIRST_WAIT, target.patience or 0.0)) + 4 * setting.character
        for _ in range(2):
            self._rest(self._silence)
            try:
                heard = self._line.raw(sealed(unit, pdu), wait)
            except BusDown:
                self._lost()
                continue
            self._asked_at = self._line.now()
            at = self._line.now()
            trace = trace_of(heard, unit=unit, function=span.function, count=span.words, at=at)
            if trace.good:
                return True
            if not trace.size:
                break
        return False


def _serial_number(row: Row, words: Sequence[int]) -> str:
    """What the registers of a serial number say; empty for what is no number."""
    image = Replies()
    image.add(row.function, row.address, registers_of(words))
    found = decode((row,), image).attributes.get("serial_number", "")
    return found if found.strip("0 ") else ""
