"""What is learnt about lines and meters: where it lives, what survives, who wins."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from field_parts import meter

from gateway.config import Config
from gateway.config.schema import SerialBus, TcpBus
from gateway.field.facts import BUS_NAMES, METER_NAMES
from gateway.field.learnt import LEARNT_FILE, Learnt

ROOT = Path(__file__).parents[2]

BUS = TcpBus(name="bus", type="tcp", host="192.0.2.1", port=502)
SPANS = ((4, 10, 12, "timeout"), (3, 0, 1, "exception_2"))


async def taught(path: Path) -> Learnt:
    home = Learnt(path, wall=lambda: 1_795_000_000.5)
    home.bus(BUS).learn("connect_pause", 2.0)
    home.bus(BUS).learn("reply_number", "+1")
    facts = home.meter(BUS, meter(1))
    assert facts.learn("skip", SPANS)
    assert facts.learn("pause", 0.15)
    assert not facts.learn("pause", 0.15), "known already: its time stays"
    await home.save()
    return home


async def test_facts_survive_a_restart_with_the_time_they_were_learnt(tmp_path: Path) -> None:
    path = tmp_path / LEARNT_FILE
    await taught(path)
    again = Learnt(path)
    facts = again.meter(BUS, meter(1))
    assert (facts.skip, facts.pause, facts.max_registers, facts.timeout) == (SPANS, 0.15, None, 0.0)
    assert (again.bus(BUS).connect_pause, again.bus(BUS).reply_number, again.bus(BUS).silence) == (
        2.0,
        "+1",
        0.0,
    )
    assert {fact.since for fact in facts.known()} == {1_795_000_000_500}
    assert [(fact.name, fact.text) for fact in facts.known()] == [
        ("pause", "150ms"),
        ("skip", "[4:10-11, 3:0-0]"),
    ]
    assert not (tmp_path / f"{LEARNT_FILE}.new").exists()


@pytest.mark.parametrize("change", [{"address": 2}, {"driver": "other-table"}])
async def test_another_meter_has_none_of_them(tmp_path: Path, change: dict[str, object]) -> None:
    home = await taught(tmp_path / LEARNT_FILE)
    other = meter(1).model_copy(update=change)
    assert home.meter(BUS, other).known() == ()
    config = Config(gateway={"id": "g"}, buses=(BUS,), meters=(other,))
    home.keep(config)
    await home.save()
    assert Learnt(tmp_path / LEARNT_FILE).meter(BUS, meter(1)).known() == ()
    assert home.bus(BUS).known(), "the line is the same"


@pytest.mark.parametrize(
    "change", [{"host": "192.0.2.2"}, {"port": 503}, {"name": "other"}, {"type": "rtu-over-tcp"}]
)
async def test_on_another_line_nothing_is_known(tmp_path: Path, change: dict[str, object]) -> None:
    home = await taught(tmp_path / LEARNT_FILE)
    other = BUS.model_copy(update=change)
    assert home.bus(other).known() == () == home.meter(other, meter(1)).known()


async def test_what_is_configured_wins_and_is_not_learnt(tmp_path: Path) -> None:
    await taught(tmp_path / LEARNT_FILE)
    home = Learnt(tmp_path / LEARNT_FILE)
    facts = home.meter(BUS, meter(1, pause="20ms", skip=["4:0x0A", "3:7-9"], max_registers=30))
    assert (facts.pause, facts.max_registers) == (0.02, 30)
    assert facts.skipped == ((4, 10, 11), (3, 7, 10))
    assert facts.fixed("pause")
    assert not facts.learn("pause", 0.5)
    assert not facts.learn("skip", SPANS)
    assert facts.learn("timeout", 5.0)
    assert [fact.configured for fact in facts.known()] == [True, True, True, False]
    assert home.meter(BUS, meter(1, skip=[])).skip == ()
    line = home.bus(SerialBus(name="l", type="serial", port="/dev/ttyS9", silence="50ms"))
    assert line.silence == 0.05
    assert not line.learn("silence", 1.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 2, "facts": {}}',
        '{"version": 1}',
        '{"version": 1, "facts": {"k": 3, "l": {"pause": 1}}}',
        "[" * 9999,
        "\x00\xff",
    ],
)
async def test_a_damaged_or_foreign_file_is_forgotten(tmp_path: Path, text: str) -> None:
    path = tmp_path / LEARNT_FILE
    path.write_bytes(text.encode("latin-1"))
    home = Learnt(path)
    assert home.meter(BUS, meter(1)).known() == ()
    assert home.meter(BUS, meter(1)).learn("pause", 0.1)
    await home.save()
    assert Learnt(path).meter(BUS, meter(1)).pause == 0.1


async def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / LEARNT_FILE).mkdir()
    home = Learnt(tmp_path / LEARNT_FILE)
    assert home.meter(BUS, meter(1)).learn("pause", 0.1)
    await home.save()
    assert (tmp_path / LEARNT_FILE).is_dir()


@pytest.mark.parametrize(
    "put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
@pytest.mark.parametrize("name", [LEARNT_FILE, f"{LEARNT_FILE}.new"])
async def test_what_stands_in_its_place_is_not_waited_for(tmp_path: Path, name: str, put) -> None:
    path = tmp_path / LEARNT_FILE
    put(tmp_path / name)
    home = Learnt(path)
    assert home.meter(BUS, meter(1)).learn("pause", 0.1)
    async with asyncio.timeout(30):
        await home.save()
    assert path.is_file()
    assert Learnt(path).meter(BUS, meter(1)).pause == 0.1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pause", -1),
        ("pause", 1e9),
        ("pause", float("nan")),
        ("pause", "1s"),
        ("pause", True),
        ("max_registers", 0),
        ("max_registers", 126),
        ("skip", [[4, 5, 5, "timeout"]]),
        ("skip", [[5, 5, 6, "timeout"]]),
        ("skip", [[4, 5, 6, "<b>"]]),
        ("skip", [[4, 5]]),
        ("skip", 7),
        ("skip", [[4, 0, 1, "timeout"]] * 201),
        ("reply_unit", 256),
        ("reply_number", "1"),
        ("reply_length", 7),
        ("reply_protocol", 0x10000),
        ("reply_protocol", True),
        ("colour", "blue"),
    ],
)
async def test_a_single_fact_that_cannot_be_is_dropped_and_the_others_stay(
    tmp_path: Path, name: str, value: object
) -> None:
    path = tmp_path / LEARNT_FILE
    await taught(path)
    body = json.loads(path.read_text())
    for facts in body["facts"].values():
        facts[name] = {"value": value, "since": 5}
        facts["timeout"] = {"value": 4, "since": 5}
    path.write_text(json.dumps(body))
    facts = Learnt(path).meter(BUS, meter(1))
    assert facts.timeout == 4.0
    assert name not in {fact.name for fact in facts.known()}
    with pytest.raises(ValueError, match="is no"):
        facts.learn(name, value)


async def test_forgetting_is_kept_too(tmp_path: Path) -> None:
    home = await taught(tmp_path / LEARNT_FILE)
    home.meter(BUS, meter(1)).forget("skip")
    await home.save()
    facts = Learnt(tmp_path / LEARNT_FILE).meter(BUS, meter(1))
    assert (facts.skip, facts.pause) == ((), 0.15)


@pytest.mark.parametrize("name", sorted({*BUS_NAMES, *METER_NAMES}))
def test_each_has_a_key_in_the_sample_and_a_row_in_the_documentation(name: str) -> None:
    assert f" {name}: " in (ROOT / "config" / "gateway.yaml").read_text(encoding="utf-8")
    assert f"| `{name}`," in (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
