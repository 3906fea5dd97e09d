"""The doctor on simulated sites: fifteen faults in twenty variations each, and two hundred sound ones.

Lines are simulated bit by bit (tests/commissioning/line_physics.py) in time that passes at once; hosts are
real ones on this machine. The whole of the product's own way is measured: port, line, judgement, values.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.figures import Figure, at_least, at_most, plain

sys.path.insert(0, str(Path(__file__).parents[1] / "commissioning"))

from faulty_hosts import draw_host
from faulty_sites import draw_site

from gateway.commissioning.doctor import Diagnosis, worst_first

VARIATIONS = 20
SOUND = 180
SOUND_HOSTS = 20
KINDS: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "A and B exchanged": (("swapped",), frozenset({"swapped"})),
    "termination, bias": (("termination", "bias"), frozenset({"termination", "bias"})),
    "double address": (("duplicate",), frozenset({"duplicate"})),
    "wrong setting": (("setting",), frozenset({"setting"})),
    "transformers exchanged": (("wiring",), frozenset({"wiring", "wiring_unsure"})),
    "wrong ratio": (("ratio",), frozenset({"ratio"})),
    "word order": (("byte_order",), frozenset({"byte_order"})),
    "off by one": (("off_by_one",), frozenset({"off_by_one"})),
    "function, length": (("function",), frozenset({"function", "too_long"})),
    "interference": (("interference",), frozenset({"interference"})),
    "setting not kept": (("not_kept",), frozenset({"not_kept"})),
    "port renamed": (("renumbered",), frozenset({"renumbered"})),
    "adapter falls off": (("brown_out",), frozenset({"brown_out"})),
    "host without room": (("connection_limit",), frozenset({"connection_limit"})),
    "too fast, second master": (("too_fast", "second_master"), frozenset({"too_fast", "second_master"})),
}
"""The fifteen failures: the sites that show each, taken in turn. The cause must be that of the site."""


def first_cause(fault: str, seed: int) -> str:
    """What the doctor says first of a variation."""
    found = worst_first(_found(fault, seed))
    return found[0].cause if found else "healthy"


def _found(fault: str, seed: int) -> list[Diagnosis]:
    draw: Callable[[str, int], object] = (
        draw_host if fault in {"connection_limit", "healthy_host"} else draw_site
    )
    found: list[Diagnosis] = draw(fault, seed).examined().found  # type: ignore[attr-defined]
    return found


def run() -> list[Figure]:
    """Each fault's share, all of them, and the sound ones that were called ill."""
    figures, right, count, wrong = [], 0, 0, []
    for name, (faults, causes) in KINDS.items():
        hits = 0
        for seed in range(VARIATIONS):
            fault = faults[seed % len(faults)]
            meant = {fault} if fault in causes and len(faults) > 1 else causes
            said = first_cause(fault, seed)
            hits += said in meant
            if said not in meant:
                wrong.append(f"{fault} {seed}: {said}")
        figures.append(plain(f"doctor, {name}: first cause right", 100 * hits / VARIATIONS, "%"))
        right, count = right + hits, count + VARIATIONS
    figures.append(
        at_least(
            "doctor, fifteen faults: first cause right", 100 * right / count, "%", 95.0,
            f"{count} sites" + (f"; not: {', '.join(wrong)}" if wrong else ""),
        )
    )  # fmt: skip
    ill = [f"{seed}" for seed in range(SOUND) if first_cause("healthy", seed) != "healthy"]
    ill += [f"host {seed}" for seed in range(SOUND_HOSTS) if first_cause("healthy_host", seed) != "healthy"]
    figures.append(
        at_most(
            "doctor, sound sites called ill", len(ill), "sites", 0, f"of {SOUND + SOUND_HOSTS}; {ill or ''}"
        )
    )
    return figures
