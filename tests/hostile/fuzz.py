"""python -m tests.hostile.fuzz TARGET --seconds 10 --seed 1 --findings DIR: throw bytes at a target until the
time is over.

Coverage guides the bytes where atheris runs (CPython below 3.13 on x86); elsewhere hypothesis changes the
seeds. What breaks a target is written to DIR and belongs into tests/hostile/corpus/TARGET once it is mended,
where plain pytest tries it for ever.
"""

# ruff: noqa: PLC0415 - atheris must be there before what it looks into
from __future__ import annotations

import argparse
import hashlib
import importlib.util
import logging
import sys
import tempfile
import time
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
WORDS = Path(__file__).parent / "words.dict"
ROOMS = {
    "rtu": "field",
    "tcp": "field",
    "rtu_over_tcp": "field",
    "commands": "uplink wire",
    "small": "wire",
    "batch": "wire",
    "intake": "receiver wire",
    "driver": "catalogue",
    "configuration": "config",
}
"""Where atheris looks for new ways; looking everywhere takes seconds at each start."""
LONGEST = 4096
HANG = 20
"""s that one input may take."""


def known(target: str) -> list[Path]:
    """The findings of the past."""
    return sorted(path for path in (CORPUS / target).glob("*") if path.is_file())


def with_atheris(target: str, seconds: int, seed: int, findings: Path) -> None:
    """Does not return: ends the process with 0 when nothing was found."""
    import atheris

    with atheris.instrument_imports(
        include=[f"gateway.{room}" for room in ROOMS[target].split()], enable_loader_override=False
    ):
        from tests.hostile import targets

    with tempfile.TemporaryDirectory(prefix="fuzz-") as begin:
        for number, data in enumerate(
            [*targets.seeds()[target], *(path.read_bytes() for path in known(target))]
        ):
            (Path(begin) / str(number)).write_bytes(data)
        words = [
            "fuzz",
            f"-seed={seed}",
            f"-max_total_time={seconds}",
            f"-timeout={HANG}",
            f"-max_len={LONGEST}",
            f"-dict={WORDS}",
        ]
        atheris.Setup([*words, f"-artifact_prefix={findings}/", begin], targets.TARGETS[target])
        atheris.Fuzz()


def with_hypothesis(target: str, seconds: int, first: int, findings: Path) -> int:
    """The same without looking into the program: seeds with pieces cut out, changed and put in."""
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    from tests.hostile import targets

    run = targets.TARGETS[target]
    begin = [*targets.seeds()[target], *(path.read_bytes() for path in known(target))]
    edits = st.lists(
        st.tuples(st.integers(0, LONGEST), st.integers(0, 12), st.binary(max_size=12)), max_size=6
    )
    last = b""
    tried = 0

    def attempt(origin: bytes, changes: list[tuple[int, int, bytes]]) -> None:
        nonlocal last, tried
        for at, gone, new in changes:
            at %= len(origin) + 1  # noqa: PLW2901 - an index
            origin = origin[:at] + new + origin[at + gone :]
        last, tried = origin, tried + 1
        run(origin)

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rules = settings(
            max_examples=200,
            deadline=1000 * HANG,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        try:
            seed(first)(rules(given(st.sampled_from(begin) | st.binary(max_size=200), edits)(attempt)))()
        except BaseException:
            path = findings / f"crash-{hashlib.sha1(last).hexdigest()}"
            path.write_bytes(last)
            print(f"{path} breaks {target}")
            raise
        first += 1
    print(f"{tried} inputs tried")
    return 0


def main() -> int:
    """Throw."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("target")
    words.add_argument("--seconds", type=int, default=10)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--findings", type=Path, default=Path())
    words.add_argument("--blind", action="store_true", help="hypothesis, also where there is atheris")
    chosen = words.parse_args()
    chosen.findings.mkdir(parents=True, exist_ok=True)
    logging.getLogger("gateway").addHandler(
        logging.NullHandler()
    )  # what it says about each input is not for the terminal
    if chosen.blind or importlib.util.find_spec("atheris") is None:
        return with_hypothesis(chosen.target, chosen.seconds, chosen.seed, chosen.findings)
    with_atheris(chosen.target, chosen.seconds, chosen.seed, chosen.findings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
