"""python -m tests.bench.faulty_lines SPEC.json: the demo's simulator with registers that never show the same
number twice.

A value that a master has read names the serve that it came from: its meter, its address, its moment, and what
was done to the reply. It says where its lines are on stdout and ends with its stdin.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.demo.simulator.simulator import Simulator
from gateway.demo.simulator.slave import Served

_NUMBERS = itertools.count(1)


class Numbers:
    """Two registers, high word first, at each of some places: a number of its own for each place at each
    read. Elsewhere 0.
    """

    def __init__(self, places: list[int]) -> None:
        self._places = places

    def read(self, _function: int, address: int, count: int) -> Served:
        """The words as they stand."""
        words = [0] * count
        for place in self._places:
            number = next(_NUMBERS)
            for at, word in ((place, number >> 16), (place + 1, number & 0xFFFF)):
                if address <= at < address + count:
                    words[at - address] = word
        return Served(words)


def images(spec: Mapping[str, Any]) -> Numbers:
    """IMAGE of the specification: {"places": [256, 512]}."""
    return Numbers(spec["places"])


if __name__ == "__main__":
    with Simulator(json.loads(Path(sys.argv[1]).read_text()), images=images) as simulator:
        print(json.dumps(simulator.ready), flush=True)
        sys.stdin.read()
