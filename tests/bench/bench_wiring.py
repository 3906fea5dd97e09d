"""The wiring test on simulated sites: how often it speaks, how often it is right then, and whether its
certainty is what it says.
"""

from __future__ import annotations

import time
from itertools import pairwise

from gateway.commissioning.wiring.verdict import WiringVerdict, judge_wiring
from tests.bench.figures import Figure, at_least, at_most, plain
from tests.bench.wiring_sites import TYPICAL, WIDE, Site, draw, names

SEED = 50_000
SITES = 8000
"""A class of the calibration has 3 200 of them: by chance alone its share of right ones is up to 0.9 points
off (standard deviation); with 800 it was 1.8, and one draw in twenty missed the bar.
"""
ROWS = 24
LONG = 100_000


def _sites(
    mix: str, band: tuple[float, float], meter: str, count: int, seed: int
) -> list[tuple[WiringVerdict, bool]]:
    """A verdict per site, and whether its likeliest hypothesis is true."""
    found = []
    for number in range(count):
        site = Site(seed + number, band, ROWS)
        mistake = draw(site.rng, mix)
        verdict = judge_wiring(site.record(mistake, meter=meter))
        found.append((verdict, verdict.best == names(mistake)))
    return found


def _speaks(found: list[tuple[WiringVerdict, bool]]) -> float:
    return 100 * sum(verdict.speaks for verdict, _ in found) / len(found)


def _right(found: list[tuple[WiringVerdict, bool]]) -> float:
    spoken = [right for verdict, right in found if verdict.speaks]
    return 100 * sum(spoken) / len(spoken) if spoken else 100.0


def _calibration(found: list[tuple[WiringVerdict, bool]]) -> tuple[float, str]:
    """The largest difference in points between certainty and share of right ones, over ten classes of
    equal size; all of them in words.
    """
    ranked = sorted(found, key=lambda pair: pair[0].certainty)
    edges = [len(ranked) * number // 10 for number in range(11)]
    classes = [ranked[a:b] for a, b in pairwise(edges)]
    told = [100 * sum(verdict.certainty for verdict, _ in each) / len(each) for each in classes]
    true = [100 * sum(right for _, right in each) / len(each) for each in classes]
    words = ", ".join(f"{said:.0f}→{is_:.0f}" for said, is_ in zip(told, true, strict=True))
    return max(
        abs(said - is_) for said, is_ in zip(told, true, strict=True)
    ), f"{len(ranked) // 10} sites each: said→true % {words}"


def _seconds() -> float:
    columns = Site(SEED, rows=100).record(((2, 1, 3), (1, -1, 1)))
    long = {name: (column * (LONG // 100))[:LONG] for name, column in columns.items()}
    begin = time.process_time()
    judge_wiring(long)
    return time.process_time() - begin


def run() -> list[Figure]:
    """Mixes A (half right, else permuted, each reversed with 20 %) and B (all 48 alike), load angles
    −10…45° and −30…55°.
    """
    figures, pool = [], []
    kinds = [
        ("A", TYPICAL, "signed", 90.0),
        ("B", TYPICAL, "signed", 60.0),
        ("A", WIDE, "signed", None),
        ("B", WIDE, "signed", None),
        ("A", TYPICAL, "unsigned", 50.0),
        ("A", WIDE, "unsigned", None),
    ]
    for place, (mix, band, meter, bar) in enumerate(kinds):
        found = _sites(mix, band, meter, SITES, SEED + place * SITES)
        what = f"wiring, mix {mix}, {band[0]:.0f}…{band[1]:.0f}°, {meter} Q"
        speaks = (
            at_least(f"{what}: speaks", _speaks(found), "%", bar)
            if bar
            else plain(f"{what}: speaks", _speaks(found), "%")
        )
        figures += [
            speaks,
            at_least(f"{what}: right where it speaks", _right(found), "%", 98.0, f"{SITES} sites"),
        ]
        pool += found if meter == "signed" else []
    silent = [each for mix in "AB" for each in _sites(mix, TYPICAL, "factor", 100, SEED + 9 * SITES)]
    figures.append(at_most("wiring, power factor without sign, no P: speaks", _speaks(silent), "%", 0.0))
    apart, words = _calibration(pool)
    figures.append(
        at_most("wiring, certainty beside truth, worst of ten classes", apart, "points", 5.0, words)
    )
    figures.append(at_most("wiring, 100 000 rows", _seconds(), "s of processor", 10.0))
    return figures
