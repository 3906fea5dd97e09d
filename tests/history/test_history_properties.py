"""Whatever happens to process, clock, register and file: no interval has two values under one identity, and
the platform's newest versions add up to what the register gained, exactly.
"""

import shutil
import tempfile
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from history_gateway import QUARTER, T0, Gateway
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.energy import Context, base_unit
from gateway.energy.engine.units import to_grains
from gateway.history import FILE, make_copy
from gateway.model import Reading

acts = st.lists(
    st.tuples(
        st.sampled_from(
            ["poll"] * 14
            + ["lost", "lost", "kill", "kill", "stop", "save", "save", "fail", "empty"]
            + ["reboot", "unsynced", "synced", "back", "forward", "copy", "spoil", "thin"]
        ),
        st.sampled_from([10_000, 60_000, 60_000, 300_000, 890_000, 8_000_000]),
        st.integers(0, 400),
    ),
    min_size=5,
    max_size=70,
)


def context(_meter, quantity) -> Context:
    return Context(base_unit(quantity), ct_primary=10**6)


def play(gateway, script) -> float:
    wh = 500_000
    for act, pause, gain in script:
        wh += gain
        if act in {"poll", "lost", "fail"}:
            gateway.poll(None if act == "fail" else wh / 1000, pause=pause, lost=act == "lost")
        elif act == "empty":
            gateway.commit([])
        elif act == "reboot":
            # A clock that nobody had set is not right after another boot: as right it would say that years
            # have passed, each with its quarter hours.
            gateway.reboot(clock=gateway.clock, after=pause)
        elif act == "unsynced":
            gateway.reboot(clock="unsynced", offset=1_600_000_000_000)
            gateway.right = (
                gateway.journal[-1].t0 if gateway.journal and gateway.journal[-1].clock == "synced" else None
            )
        elif act == "synced" and gateway.clock == "unsynced":
            gateway.clock, gateway.offset = "synced", max(T0, gateway.newest_t()) + pause
        elif act == "back" and gateway.clock == "synced":
            gateway.offset -= pause
        elif act == "forward" and gateway.clock == "synced":
            gateway.offset += pause
        elif act == "copy":
            make_copy(gateway.directory / FILE)
        elif act == "spoil":
            gateway.history.close()
            data = bytearray((gateway.directory / FILE).read_bytes())
            data[100 : len(data) // 2] = b"\x77" * (len(data) // 2 - 100)
            (gateway.directory / FILE).write_bytes(bytes(data))
            gateway.start()
        elif act in {"kill", "stop", "save"}:
            getattr(gateway, act)()
    return wh


class Player(Gateway):
    right = None

    def newest_t(self) -> int:
        return max((batch.t0 for batch in self.journal if batch.clock == "synced"), default=T0)


@given(acts)
@settings(max_examples=150, deadline=None)
def test_no_identity_has_two_values_and_the_newest_versions_add_up(script) -> None:
    directory = Path(tempfile.mkdtemp())
    try:
        gateway = Player(directory, context=context)
        wh = play(gateway, script)
        if gateway.clock == "unsynced":
            gateway.clock, gateway.offset = "synced", gateway.newest_t() + 60_000
        # A last hour of sound readings closes what is open.
        for _ in range(70):
            gateway.poll(wh / 1000)
        gateway.drain()
        platform = gateway.platform.newest()
        state = gateway.projection._meters["m"].series("active_energy_import").state()
        edge = state[3]
        mine = {
            start: (each.value, each.quality)
            for start in platform
            if (each := gateway.history.past("m", "active_energy_import").get(start))
        }
        assert mine == platform
        if edge is None or not platform:
            return
        # From the first quarter hour on there is no hole, and the sum is the difference of the outer edges.
        starts = [start for start in platform if start < edge[0]]
        if starts and starts == list(range(starts[0], edge[0], QUARTER)):
            first = edge[1] - gateway.platform.total()
            believed = [
                to_grains(
                    Decimal(repr(reading.values["active_energy_import"])), base_unit("active_energy_import")
                )
                for batch in gateway.journal
                for reading in batch.readings
                if "active_energy_import" in reading.values
            ]
            assert first * 10**12 >= min(believed) - 10**12
            assert edge[1] * 10**12 <= max(believed) + 10**12
    finally:
        gateway.history.close()
        shutil.rmtree(directory)


@given(acts, st.data())
@settings(max_examples=100, deadline=None)
def test_a_rebuild_at_any_moment_publishes_nothing_new(script, data) -> None:
    """Without its history, from the journal alone: facts are taken first, and all of them are there."""
    directory, other = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    try:
        script = [step for step in script if step[0] not in {"spoil", "copy"}]
        gateway = Player(directory, context=context)
        wh = play(gateway, script)
        if gateway.clock == "unsynced":
            gateway.clock, gateway.offset = "synced", gateway.newest_t() + 60_000
        for _ in range(20):
            gateway.poll(wh / 1000)
        gateway.drain()
        before = {key: dict(held) for key, held in gateway.platform.held.items()}
        gateway.history.close()
        gateway.directory = other
        gateway.start()
        gateway.drain()
        after = gateway.platform.held
        assert {key: held for key, held in after.items() if key in before} == before
        assert set(after) == set(before)
    finally:
        gateway.history.close()
        shutil.rmtree(directory)
        shutil.rmtree(other)


def edge(seen, q: int) -> int:
    """The register at a quarter hour by the two readings (t, Wh) around it, rounded half up."""
    (a, low), (b, high) = next(pair for pair in pairwise(seen) if pair[0][0] < q <= pair[1][0])
    return (2 * (low * (b - a) + (high - low) * (q - a)) + (b - a)) // (2 * (b - a))


polls = st.lists(
    st.integers(300, 70_000) | st.sampled_from([1_000, 15_000, 60_000]), min_size=60, max_size=400
)


@given(polls, st.sets(st.integers(0, 400), max_size=6))
@settings(max_examples=60, deadline=None)
def test_however_dense_the_readings_an_edge_lies_between_the_two_around_it(pauses, kills) -> None:
    """Readings far from a quarter hour may be passed over, never the ones beside it."""
    directory = Path(tempfile.mkdtemp())
    try:
        gateway = Player(directory, context=context)
        seen, wh = [], 700_000
        for number, pause in enumerate(pauses):
            wh += (number * 7919) % 31
            if number in kills:
                gateway.save()
                gateway.kill()
            gateway.poll(wh / 1000, pause=pause)
            seen.append((T0 + gateway.uptime, wh))
        gateway.poll(wh / 1000)
        gateway.drain()
        for start, (value, _) in gateway.platform.newest().items():
            assert value == edge(seen, start + QUARTER) - edge(seen, start)
    finally:
        gateway.history.close()
        shutil.rmtree(directory)


mixed = st.lists(
    st.tuples(
        st.sampled_from([1_000, 5_000, 9_990, 10_000, 10_010, 20_500]),
        st.sampled_from(["pulses"] * 5 + ["both", "both", "absent", "suspect", "energy", "missing"]),
        st.integers(0, 90),
    ),
    min_size=150,
    max_size=400,
)


@given(mixed, st.sets(st.integers(0, 400), max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_else_of_a_meter_is_read_more_often_moves_no_edge(script, kills) -> None:
    """Each counter has an interval of its own, and reads of its own that fail."""
    directory = Path(tempfile.mkdtemp())
    try:
        gateway = Player(directory, context=context)
        seen, wh = [], 700_000
        for number, (pause, act, gain) in enumerate([*script, *[(60_000, "both", 9)] * 2]):
            wh += gain
            if number in kills:
                gateway.save()
                gateway.kill()
            gateway.uptime += pause
            values = {} if act == "energy" else {"pulse_count": number}
            values |= {} if act in {"pulses", "missing"} else {"active_energy_import": wh / 1000}
            reading = Reading("m", gateway.uptime, values)
            if act == "absent":
                reading.absent["active_energy_import"] = "timeout"
                del values["active_energy_import"]
            elif act == "suspect":
                reading.suspect = ("active_energy_import",)
            elif act == "missing":
                reading = Reading("m", gateway.uptime, missing="timeout")
            else:
                seen += [] if act == "pulses" else [(T0 + gateway.uptime, wh)]
            gateway.take([reading])
        gateway.drain()
        published = gateway.platform.newest()
        first = (seen[0][0] // QUARTER + 1) * QUARTER
        assert [*published] == list(range(first, seen[-2][0] // QUARTER * QUARTER, QUARTER))
        for start, (value, _) in published.items():
            assert value == edge(seen, start + QUARTER) - edge(seen, start)
    finally:
        gateway.history.close()
        shutil.rmtree(directory)
