"""A reload that changes days, tree or bounds takes effect at once: the engine goes on as a new one, and
nothing is published twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import date

import pytest

from gateway.catalogue import load_text
from gateway.config import parse_config
from gateway.daemon import describe
from gateway.daemon.actions import DaemonActions
from gateway.daemon.changes import Loaded
from gateway.daemon.energy import EnergyWorker, worker
from gateway.daemon.energy.opening import open_projection
from gateway.energy import GRAIN
from gateway.energy.checks.register import is_impossible
from gateway.errors import GatewayError, HistoryDamaged, HistoryError
from gateway.history import BuildingMeters, HistoryReader
from gateway.journal import Journal
from gateway.model import Draft, Event, Reading
from gateway.wire import decode

START = 1_795_219_200_000
MINUTE = 60_000
REGISTER = ("main", "active_energy_import")


class Clock:
    """Wall time and uptime that move only when told."""

    now, synced, boot = 0, True, "b0" * 16

    def wall(self) -> int:
        return START + self.now

    def uptime(self) -> int:
        return self.now

    def moment(self) -> tuple[int, int]:
        return self.wall(), self.uptime()


def config(directory, *, zone="Europe/Istanbul", parent="null", ct=1, vt=1, values="primary", more=""):
    return parse_config(
        f"gateway: {{id: g, timezone: {zone}}}\n"
        "buses: [{name: plant, type: tcp, host: 127.0.0.1}]\n"
        "meters:\n"
        f"  - {{id: main, bus: plant, driver: eastron-sdm630, address: 1, ct: {ct}, vt: {vt},\n"
        f"     values: {values}}}\n"
        f"  - {{id: hvac, bus: plant, driver: eastron-sdm630, address: 2, parent: {parent}}}\n"
        f"journal: {{directory: {directory}}}\n" + more
    )


def loaded(directory, *, table="", **more):
    """`table` of the meters, where one is needed."""
    text = f'maker: A\nmodel: B\nverified: simulator\nsource: "one"\n{table}'
    drivers = {"eastron-sdm630": load_text(text, "eastron-sdm630")} if table else {}
    return Loaded(config(directory, **more), drivers, {})


class Site:
    """A journal, an engine, and what a platform would be given."""

    def __init__(self, directory) -> None:
        self.clock = Clock()
        self.journal = Journal.open(directory, gateway="g", clock=self.clock, uplinks=[])
        self.energy = EnergyWorker(self.journal, self.clock, loaded(directory), self.commit)
        self.directory = directory
        self.published: dict = {}
        self.findings: list = []

    async def commit(self, draft: Draft, *, alone: bool = False) -> None:
        """`alone`: it takes nothing of the engine along."""
        if not alone:
            self.energy.offer(draft)
        sealed = await self.journal.commit(draft)
        self.energy.committed(sealed)
        for each in sealed:
            batch = decode(each.body)
            self.findings += [event.fields for event in batch.events if event.kind == "energy_check"]
            for interval in batch.intervals:
                key = (interval.meter, interval.quantity, interval.start, interval.version)
                value = (interval.value, interval.quality)
                assert self.published.setdefault(key, value) == value

    async def poll(self, minutes: int, wh=lambda minute: 500_000 + 40 * minute, **how) -> None:
        for _ in range(minutes):
            self.clock.now += MINUTE
            minute = self.clock.now // MINUTE
            readings = [
                Reading(meter, self.clock.now, {REGISTER[1]: wh(minute) / 1000}) for meter in ("main", "hvac")
            ]
            await self.commit(Draft(readings), **how)
            await asyncio.sleep(0)

    async def caught_up(self) -> None:
        async with asyncio.timeout(200):
            while not self.energy.progress.live or self.energy._read < self.journal.newest[1]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def drained(self) -> None:
        async with asyncio.timeout(200):
            await self.caught_up()
            while self.energy.behind or self.energy._offered != ([], []):
                await self.commit(Draft([], []))
                await asyncio.sleep(0.02)
                await self.caught_up()


@contextlib.asynccontextmanager
async def running(directory):
    """A site whose engine runs."""
    made = Site(directory)
    task = asyncio.create_task(made.energy.run())
    try:
        yield made
    finally:
        await made.energy.stop()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await made.journal.close()


@pytest.fixture
async def site(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "FIRST", 0.0)
    monkeypatch.setattr(worker, "PATIENCE", 1e9)  # nothing goes by itself, however slow the machine is
    async with running(tmp_path) as made:
        yield made


async def reload(site, **changes) -> None:
    before = site.energy._projection
    site.energy.configure(loaded(site.directory, **changes))
    async with asyncio.timeout(200):
        while site.energy._projection in {before, None}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await site.caught_up()


async def test_another_time_zone_cuts_the_days_anew(site) -> None:
    await site.poll(26 * 60)
    await site.drained()
    before = dict(site.published)
    await reload(site, zone="America/New_York")
    await site.poll(60)
    await site.drained()
    assert {key[3] for key in site.published} == {1}
    assert before.items() <= site.published.items()
    await site.energy._in_thread(site.energy._save)
    with contextlib.closing(HistoryReader(site.directory)) as history:
        assert history.span()[0] == date(2026, 11, 20)  # it was still Friday there
        held = list(history.intervals(*REGISTER, *history.span()))
    assert [each.start for each in held] == [START + k * 900_000 for k in range(1, len(held) + 1)]
    assert sum(each.value for each in held) == 40 * 15 * len(held)


async def test_what_is_under_way_at_a_reload_comes_once(site) -> None:
    """The slot has taken intervals along, and is committed after the engine has ended."""
    await site.poll(120, alone=True)
    under_way = Draft([], [])
    async with asyncio.timeout(200):
        while not under_way.intervals:
            site.energy.offer(under_way)
            await asyncio.sleep(0.02)
    before = site.energy._projection
    site.energy.configure(loaded(site.directory, zone="Europe/Berlin"))
    async with asyncio.timeout(200):
        while site.energy._projection in {before, None}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    again = Draft([], [])
    await site.caught_up()
    site.energy.offer(again)
    keys = {(each.meter, each.start) for each in under_way.intervals}
    assert not keys & {(each.meter, each.start) for each in again.intervals}
    under_way.intervals += again.intervals
    await site.commit(under_way)
    await site.poll(30)
    await site.drained()
    assert {key[3] for key in site.published} == {1}


async def test_a_tree_that_is_set_right_is_looked_at_from_then_on(site) -> None:
    await reload(site, parent="main", more="building: {jump: 3}\n")
    context = site.energy._projection._context("main", REGISTER[1])
    assert context.jump == 3
    assert [each.parent for each in site.energy._projection._tree._meters] == [None, "main"]


async def test_transformers_that_are_set_right_bound_what_can_flow(site) -> None:
    await site.poll(20)
    await site.caught_up()
    assert site.energy._projection._context("main", REGISTER[1]).ct_primary is None
    for ct, bound in ((40, (40, 200)), ("200/5", (None, 200)), ("200/1", (None, 200)), ("40/1", (None, 40))):
        await reload(site, ct=ct)
        series = site.energy._projection._meters["main"].series(REGISTER[1])
        assert (series._context.ct_least, series._context.ct_primary) == bound


@pytest.mark.parametrize("end", [10**6, 10**8])
async def test_a_register_begins_again_at_a_width_that_nobody_has_written(site, end) -> None:
    """In kWh, as the display ends; a table says how wide the register is, not that. The sum goes on."""
    await site.poll(125, lambda minute: (end * 1000 - 2400 + 40 * minute) % (end * 1000))
    await site.drained()
    assert [(each["check"], each["assumed"]) for each in site.findings] == [("rollover", True)] * 2
    sums = {}
    for (meter, _quantity, start, _version), (value, quality) in sorted(site.published.items()):
        sums[start, meter] = (value, quality)
    assert len(sums) == 2 * 7
    assert set(sums.values()) == {(600, "m")}


async def test_voltage_transformers_that_are_set_right_raise_what_can_flow(site) -> None:
    """A meter in medium voltage: 200/5 A and 34.5/0.1 kV carry twelve megawatts."""
    await reload(site, ct=40)
    low = site.energy._projection._context("main", REGISTER[1])
    assert low.most == 166_276 + 1  # W: 1.2·√3·400 V·200 A
    await reload(site, ct=40, vt=345)
    high = site.energy._projection._context("main", REGISTER[1])
    assert not is_impossible(high, 12_000 * 1000 * GRAIN // 60, MINUTE, 0)
    assert is_impossible(low, 200 * 1000 * GRAIN // 60, MINUTE, 0)
    assert is_impossible(high, 1_000_000 * 1000 * GRAIN // 60, MINUTE, 0)


async def test_what_does_not_concern_it_leaves_the_engine_alone(site) -> None:
    await site.poll(20)
    await site.caught_up()
    before = site.energy._projection
    found = loaded(site.directory, more="building: {area: 77, service: {name: Firma}}\n")
    site.energy.configure(found)
    await site.poll(5)
    await site.caught_up()
    assert site.energy._projection is before


async def test_a_new_year_has_its_holidays(site, monkeypatch) -> None:
    await site.poll(5)
    await site.caught_up()
    before = site.energy._projection
    real = worker.datetime
    next_year = real.now().year + 1

    class Later(real):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz).replace(year=next_year, day=1)

    monkeypatch.setattr(worker, "datetime", Later)
    async with asyncio.timeout(200):
        while site.energy._projection in {before, None}:
            await site.poll(1)
            await asyncio.sleep(0.02)


def woken_at_the_end_of_a_round(site, monkeypatch, wake) -> None:
    """`wake` is called when the engine has looked at everything and goes to rest; then it rests for ever."""
    waits = ("IDLE", "GATHER", "SELDOM")
    for name in waits:
        monkeypatch.setattr(worker, name, 0.05)
    rest, left = site.energy._sum_up, [wake]

    async def then() -> None:
        await rest()
        if left and not site.energy._to_sum_up and not site.energy._queue:
            for name in waits:  # whoever is not heard now is not heard at all
                monkeypatch.setattr(worker, name, 1e6)
            left.pop()()
            await asyncio.sleep(0)

    monkeypatch.setattr(site.energy, "_sum_up", then)


async def test_a_reload_at_the_end_of_a_round_is_not_slept_through(site, monkeypatch) -> None:
    await site.caught_up()
    before = site.energy._projection
    other = loaded(site.directory, zone="Europe/Berlin")
    woken_at_the_end_of_a_round(site, monkeypatch, lambda: site.energy.configure(other))
    await site.poll(1)
    async with asyncio.timeout(200):
        while site.energy._projection in {before, None}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_stop_at_the_end_of_a_round_is_not_slept_through(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(worker, "FIRST", 0.0)
    site, stops = Site(tmp_path), []
    running = asyncio.create_task(site.energy.run())
    await site.caught_up()
    woken_at_the_end_of_a_round(
        site, monkeypatch, lambda: stops.append(asyncio.create_task(site.energy.stop()))
    )
    await site.poll(1)
    async with asyncio.timeout(200):
        await running
    await asyncio.gather(*stops)
    await site.journal.close()


def test_the_engine_begins_without_what_only_the_page_needs(tmp_path, monkeypatch) -> None:
    for name in ("_rules", "_temperatures"):
        monkeypatch.setattr(describe, name, lambda *_: pytest.fail("it was read"))
    with_file = config(tmp_path, more="building: {temperatures: /none.csv, pv: [{meter: hvac}]}\n")
    opened = open_projection(Loaded(with_file, {}, {}), oldest=None)
    with contextlib.closing(opened.history):
        assert opened.history.sums.meters == BuildingMeters(("main",), (("hvac", "auto"),))
        sun = {"active_power": 9.0}
        balance = {"active_power_l1": 1.2, "active_power_l2": -1.3, "active_power_l3": 1.0}
        balance |= {f"voltage_l{k}n": 230.0 for k in (1, 2, 3)} | {f"current_l{k}": 6.0 for k in (1, 2, 3)}
        found = [
            finding.kind
            for k in range(10)
            for meter, values in (("hvac", sun), ("main", balance))
            for finding in opened._checks.take(meter, START + k * MINUTE, values)
        ]
        assert found == []
    with pytest.raises(pytest.fail.Exception):
        describe.building_facts(with_file)


U16 = "registers: |\n  0 u16 active_energy_import {} slow\n"
NEWER = """variants:
  - name: newer
    when: {address: 9, type: u16, values: [2]}
    registers: |
      0 u32 active_energy_import kWh slow
"""


@pytest.mark.parametrize(
    ("table", "ratio", "kind"),
    [
        (U16.format("kWh"), 1, "rollover"),
        (U16.format("0.1kWh"), 10, "rollover"),
        (U16.format("kWh"), 2, "reset"),  # 131 072 kWh
        (U16.format("kWh").replace("u16", "bcd32"), 1, "reset"),
        (U16.format("kWh").replace("u16", "float32"), 1, "reset"),
        (U16.format("kWh") + NEWER, 1, "reset"),  # which of them it is only the meter says
    ],
)
async def test_the_table_says_where_a_register_begins_again(site, table, ratio, kind) -> None:
    """It stood at 99 % of what a u16 of kWh can show, and came back from an outage at less than 1 %."""
    await site.caught_up()
    before = site.energy._projection
    site.energy.configure(
        loaded(site.directory, table=table, ct=ratio, values="secondary", zone="Europe/Berlin")
    )
    async with asyncio.timeout(200):
        while site.energy._projection in {before, None}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await site.poll(20, lambda minute: 64_900_000 + 1_000 * minute)
    site.clock.now += 40 * 60 * MINUTE
    await site.poll(20, lambda minute: 500_000 + 1_000 * (minute % 100))
    await site.drained()
    told = [
        each for each in site.findings if each["meter"] == "main" and each["check"] in {"rollover", "reset"}
    ]
    assert [(each["check"], each.get("assumed")) for each in told] == [
        (kind, False if kind == "rollover" else None)
    ]


async def test_a_history_that_cannot_be_written_is_a_trouble_until_it_can(site, monkeypatch) -> None:
    await site.poll(60)
    await site.caught_up()
    assert not site.energy.trouble

    def refuse(**_: object) -> None:
        raise HistoryError("history.db cannot be written: disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(site.energy._projection.history, "save", refuse)
        await site.energy._in_thread(site.energy._save)
        assert "cannot be written" in site.energy.trouble
    await site.energy._in_thread(site.energy._save)
    assert not site.energy.trouble


async def test_a_trouble_that_lasts_is_logged_once_and_another_one_anew(
    tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(worker, "FIRST", 0.0)
    monkeypatch.setattr(worker, "AGAIN", 0.0)
    site = Site(tmp_path)
    said = iter(["is full"] * 3 + ["is read-only"] * 3)

    async def begin() -> None:
        what = next(said, None)
        site.energy._stopping = what is None
        raise HistoryError(f"the disk {what}")

    monkeypatch.setattr(site.energy, "_begin", begin)
    async with asyncio.timeout(200):
        await site.energy.run()
    assert [caplog.text.count(what) for what in ("disk is full", "disk is read-only")] == [1, 1]
    await site.energy.stop()
    await site.journal.close()


async def test_a_register_that_stands_still_under_load_is_told_while_it_does(site) -> None:
    """Of one of two meters, after a restart of the engine too; not before it has seen what came last."""

    async def powered(minutes: int, *, stuck: bool) -> None:
        for _ in range(minutes):
            site.clock.now += MINUTE
            run = site.counted = getattr(site, "counted", 500.0) + (0.0 if stuck else 0.02)
            minute = 500 + 0.02 * (site.clock.now // MINUTE)
            readings = [
                Reading(meter, site.clock.now, {REGISTER[1]: register, "active_power": 1.2})
                for meter, register in (("main", run), ("hvac", minute))
            ]
            await site.commit(Draft(readings))
            await asyncio.sleep(0)
        await site.drained()

    await powered(60, stuck=False)
    assert site.energy.standing_still == frozenset()
    await powered(35, stuck=True)
    assert site.energy.standing_still == frozenset(), "two quarter hours may be chance"
    await powered(40, stuck=True)
    assert site.energy.standing_still == {"main"}
    await reload(site, zone="Europe/Berlin")
    await powered(2, stuck=True)
    assert site.energy.standing_still == {"main"}
    await powered(40, stuck=False)
    assert site.energy.standing_still == frozenset()


class Telling:
    """What the daemon's actions need of it."""

    def __init__(self, site) -> None:
        self.energy, self.clock, self.told = site.energy, site.clock, []


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (1, 3, ""),
        (1, 9, "only 3 of these 8 quarter hours are known"),
        (-4, 3, "of these 7 quarter hours are known"),
        (40, 44, "nothing is known of active_energy_import of main at that time"),
        (1, 1 + 401 * 96, "more than a year"),
        (3, 3, "begins and ends with a quarter hour"),
        (1.5, 3, "begins and ends with a quarter hour"),
    ],
)
async def test_a_sum_is_set_of_quarter_hours_that_are_all_known(site, first, last, said) -> None:
    await site.poll(65)
    await site.drained()
    actions, told = DaemonActions(Telling(site)), []

    async def tell(kind, fields) -> None:
        told.append((kind, fields["value"]))

    actions._tell = tell
    times = {"first": START + int(first * 15 * MINUTE), "last": START + int(last * 15 * MINUTE)}
    if said:
        with pytest.raises(GatewayError, match=said):
            await actions.correct(*REGISTER, **times, value=7, why="a fuse")
        assert told == []
        return
    answer = await actions.correct(*REGISTER, **times, value=7, why="a fuse")
    assert told == [("intervals_corrected", 7)]
    assert answer["intervals"] == 2


async def test_what_was_corrected_stands_in_the_file_at_once(site) -> None:
    await site.poll(65)
    await site.drained()
    actions = DaemonActions(Telling(site))

    async def tell(kind, fields) -> None:
        await site.commit(Draft([], [Event(kind, site.clock.uptime(), fields)]), alone=True)

    actions._tell = tell
    first, last = START + 15 * MINUTE, START + 45 * MINUTE
    for value in (7_000, 9_000):
        await actions.correct(*REGISTER, first=first, last=last, value=value, why="a fuse")
        with contextlib.closing(HistoryReader(site.directory)) as history:
            held = {each.start: each for each in history.intervals(*REGISTER, *history.span())}
        mine = [held[first + k * 15 * MINUTE] for k in range(2)]
        assert (sum(each.value for each in mine), {each.quality for each in mine}) == (value, {"d"})


async def test_a_file_that_fails_does_not_deny_what_was_corrected(site, monkeypatch) -> None:
    """The event is in the journal: the engine takes it again with the rest."""
    await site.poll(65)
    await site.drained()
    actions, told = DaemonActions(Telling(site)), []

    async def tell(kind, fields) -> None:
        told.append(fields["value"])

    def fails() -> None:
        raise HistoryDamaged("the file is damaged")

    actions._tell = tell
    monkeypatch.setattr(site.energy, "_save", fails)
    first, last = START + 15 * MINUTE, START + 45 * MINUTE
    answer = await actions.correct(*REGISTER, first=first, last=last, value=7_000, why="a fuse")
    assert (answer["value"], told) == (7_000, [7_000])


async def test_what_was_corrected_is_known_to_who_asks_at_once(site) -> None:
    await site.poll(60)
    await site.drained()
    first, last = START + 15 * MINUTE, START + 45 * MINUTE
    for value in (7_000, 9_000):
        fields = {"meter": "main", "quantity": REGISTER[1], "from": first, "to": last, "value": value}
        draft = Draft([], [Event("intervals_corrected", site.clock.uptime(), {**fields, "why": "a fuse"})])
        await site.commit(draft, alone=True)
        held = await site.energy.register_intervals(*REGISTER, first, last)
        assert sum(interval.value for interval in held) == value
        assert {interval.quality for interval in held} == {"d"}
