"""Work that grows with the file: a megabyte is judged soon, whatever is in it, and told in few problems."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from gateway.catalogue import load_text
from gateway.config import parse_config
from gateway.config.yamlfile import MAX_BYTES, MAX_PROBLEMS
from gateway.errors import ConfigError, DriverError

HEAD = "gateway: {id: g}\n"
TABLE = "maker: M\nmodel: M\nverified: datasheet\nsource: p\nregisters: |\n"
SOON = 20.0
"""s, wide enough for a machine that others use too; what is quadratic takes minutes."""


def quickly(text: str) -> float:
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "f")
    assert len(caught.value.problems) <= 2 * MAX_PROBLEMS + 2
    return time.process_time() - began


def meters(count: int, row: str) -> str:
    return (
        HEAD
        + "buses: [{name: t, type: tcp, host: h}]\nmeters:\n"
        + "".join(row.format(n=n, m=n - 1) for n in range(1, count))
    )


@pytest.mark.parametrize(
    "text",
    [
        meters(
            9000,
            "  - {{id: m{n}, bus: t, address: 1, driver: d, parent: m{m}, interval: 10s, slow_interval: "
            "60s, name: Meter {n}}}\n",
        ),
        meters(
            9000,
            "  - {{id: m{n}, bus: no{n}, address: 1, driver: d, parent: not{n}, enabled: false, name: Some "
            "Meter {n}}}\n",
        ),
        meters(
            9000,
            "  - {{id: same, bus: t, address: 1, driver: d, parent: same, interval: 10s, slow_interval: "
            "60s, n: x}}\n",
        ),
        HEAD
        + "x: 1\nbuses:\n"
        + "".join(f"  - {{name: b{n}, type: tcp, host: h, port: {n % 9 + 1}}}\n" for n in range(20000)),
        HEAD
        + "a: &a {"
        + ", ".join(f"k{n}: {n}" for n in range(4000))
        + "}\nb: ["
        + ", ".join(["*a"] * 200_000)
        + "]\n",
        HEAD
        + "".join(
            f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: 1}}\n" if n else "a0: &a0 {k: 1}\n" for n in range(20000)
        ),
        HEAD
        + "a: &a ["
        + "x," * 9
        + "]\n"
        + "".join(f"{c}: &{c} [{f'*{p},' * 9}]\n" for p, c in pairwise("abcdefghi")),
        "[" * (MAX_BYTES - 1),
        "{a: " * (MAX_BYTES // 4 - 1),
        "a: " + "[" * 40 + "x, " * 300_000,
        HEAD + "x: '" + "a" * 900_000 + "'\n",
        HEAD + "".join(f"key{n}: 1\n" for n in range(80_000)),
    ],
    ids=[
        "meters",
        "unknown",
        "same",
        "buses",
        "aliases",
        "merges",
        "laughs",
        "brackets",
        "braces",
        "items",
        "scalar",
        "keys",
    ],
)
def test_a_megabyte_is_judged_soon(text) -> None:
    assert quickly(text[:MAX_BYTES]) < SOON


@pytest.mark.parametrize(
    "rows",
    [
        "  0 u16 voltage_{" + ",".join(f"x{n}" for n in range(60_000)) + "} V fast\n",
        "".join(f"  {n} u16 _r{n} V fast\n" for n in range(40_000)),
        "".join(f"  {n} u16 nothing{n} V fast\n" for n in range(40_000)),
        "  0 u16 _r0 W fast\n"
        + "".join(f"  - sum _r{n} W fast of=_r{n - 1}+_r{n - 1}\n" for n in range(1, 1500)),
        "".join(f"  - sum _r{n} W fast of=_r{n + 1}\n" for n in range(1500)),
        "  0 u16 frequency Hz fast of=" + "+a" * 400_000 + "\n",
        " \n" * 300_000,
        "  0 " + "x " * 300_000 + "\n",
    ],
    ids=["parts", "rows", "unknown", "doubling", "circle", "terms", "blank", "columns"],
)
def test_a_table_of_a_megabyte_is_judged_soon(rows) -> None:
    began = time.process_time()
    with pytest.raises(DriverError) as caught:
        load_text((TABLE + rows)[:MAX_BYTES], "t-table")
    assert len(caught.value.problems) <= 2 * MAX_PROBLEMS + 2
    assert time.process_time() - began < SOON


@pytest.mark.parametrize(
    "head",
    [
        "variants:\n"
        + "".join(f"  - {{name: v{n}, when: {{address: {n}, values: {n}}}}}\n" for n in range(15_000)),
        "reads:\n  holes: [" + ", ".join(f"{n}-{n + 1}" for n in range(60_000)) + "]\n",
        "covers: [" + ", ".join(f"m{n}" for n in range(100_000)) + "]\n",
        "without: [" + ", ".join(f"m{n}" for n in range(80_000)) + "]\n",
        "absent: {" + ", ".join(f"t{n}: 0" for n in range(60_000)) + "}\n",
        "sunspec: {take: [1], models: ["
        + ", ".join(f"{{ids: [{n}], registers: x}}" for n in range(20_000))
        + "]}\n",
    ],
    ids=["variants", "holes", "covers", "without", "absent", "models"],
)
def test_a_head_of_a_megabyte_is_judged_soon(head) -> None:
    began = time.process_time()
    rows = "".join(f"  {n} u16 _r{n} V fast\n" for n in range(1500))
    text = TABLE.replace("registers:", head + "registers:") + rows
    with pytest.raises(DriverError) as caught:
        load_text(text, "t-table")
    assert len(caught.value.problems) <= 2 * MAX_PROBLEMS + 2
    assert time.process_time() - began < SOON
