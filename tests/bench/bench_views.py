"""Any view of the page, any range, over five years × ten meters × six counters: seconds until it is there.

Cold: a new process, the file out of the page cache, its first view. Warm: the same view again, made anew.
Once more under a limit of a fifth of a processor (cgroup), a stand-in for a Zero 2 W; where no such limit can
be set, that is left out. Also what the heaviest of them weighs.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.figures import Figure, at_most, plain
from tests.bench.page_child import METERS
from tests.ports import free_port

sys.path.insert(0, str(Path(__file__).parents[1] / "status"))

from long_history import shape, write_years
from status_building import NOW

DAYS = 1826
COUNTERS = (
    "active_energy_import",
    "active_energy_export",
    "reactive_energy_q1",
    "reactive_energy_q4",
    "apparent_energy",
    "active_energy_total",
)
VIEWS = (
    "/",
    *(f"/energy?{span}" for span in ("day=2026-11-20", "day=2024-05-06&by=quarter", "week=2025-03-03")),
    *(
        f"/energy?{span}"
        for span in ("month=2026-11", "month=2023-08&by=hour", "year=2026", "year=2024&by=day")
    ),
    *(f"/energy?from=2022-01-01&to=2026-11-21&by={step}" for step in ("year", "month", "day")),
    "/energy?from=2024-05-01&to=2024-05-31&by=hour",
    *(f"/energy?{span}&meter=m4" for span in ("day=2026-11-20", "month=2026-11", "year=2025")),
    *("/reactive", "/reactive?month=2023-06"),
    "/quality",
    *("/report", "/report/2023", "/report/2023-06"),
    "/meter/main",
    "/system",
    "/screen",
    *(f"/api/v1/energy?{span}" for span in ("month=2026-10", "year=2025")),
    "/api/v1/tree?year=2025",
    "/api/v1/reactive",
    "/api/v1/quality?year=2025",
    "/api/v1/report?year=2025",
)
FILES = tuple(
    f"/api/v1/{view}?year=2025&format={form}" for view in ("energy", "report") for form in ("csv", "xlsx")
)
"""What a process of their own makes."""
ASSETS = ("/static/page.css", "/static/page.js")
ENCODINGS = ("identity", "gzip")
TIMES = 5
SHARED = 1.1
"""s after which an answer is made anew."""
BUSY = "what is left when nothing else wants the processors"


def fill(directory: Path) -> None:
    """Five years of ten meters with six counters."""
    registers = {
        (meter, counter): shape(4.0 + number, 0.2, sun=meter == "pv")
        for number, meter in enumerate((*METERS, "pv"))
        for counter in COUNTERS
    }
    registers |= {("main", counter): shape(90.0, 0.25) for counter in COUNTERS}
    registers["main", "active_energy_export"] = shape(3.0, 0.0, sun=True)
    registers["pv", "active_energy_export"] = shape(0.0, 0.0)
    write_years(directory, NOW, DAYS, registers)


GROUP = "submeter-bench-views"
SHARE, PERIOD = 0.2, 100_000
"""Of a processor; the period over which it holds, µs."""


@contextmanager
def limited() -> Iterator[Path | None]:
    """The list of processes of a control group that has a fifth of a processor; None where there is none."""
    first, second = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    old = first.is_dir()
    group = (first if old else second) / GROUP
    try:
        group.mkdir()
        if old:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(int(PERIOD * SHARE)))
        else:
            (group / "cpu.max").write_text(f"{int(PERIOD * SHARE)} {PERIOD}")
    except OSError:
        with suppress(OSError):
            group.rmdir()
        yield None
        return
    try:
        yield group / "cgroup.procs"
    finally:
        with suppress(OSError):
            group.rmdir()


@contextmanager
def served(directory: Path, group: Path | None = None) -> Iterator[tuple[str, int]]:
    """A page in a new process, the history out of the page cache; in a control group. Its address, and the
    process.
    """
    for path in directory.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.page_child", str(directory), str(port)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        if group is not None:
            group.write_text(str(child.pid))
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"ready"
        yield f"http://127.0.0.1:{port}", child.pid
    finally:
        child.kill()
        child.wait()


@dataclass
class Took:
    """Ms until each view is there, and ms of processor that the page's process has had for it."""

    wall: dict[str, float] = field(default_factory=dict)
    processor: dict[str, float] = field(default_factory=dict)


def _took(address: str, page: int) -> tuple[float, float]:
    had, begin = processor_ms(page), time.perf_counter()
    with urllib.request.urlopen(address, timeout=120) as answer:
        assert answer.status == 200, answer.status
        answer.read()
    return (time.perf_counter() - begin) * 1000, processor_ms(page) - had


def processor_ms(process: int) -> float:
    """What a process has had, to the nanosecond."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def measure(
    directory: Path, times: int = TIMES, group: Path | None = None, views: Sequence[str] = VIEWS
) -> tuple[Took, Took]:
    """Each view, cold and, the median, warm."""
    cold, warm = Took(), Took()
    for view in views:
        with served(directory, group) as (address, page):
            cold.wall[view], cold.processor[view] = _took(address + view, page)
            again = []
            for _ in range(times):
                time.sleep(SHARED)
                again.append(_took(address + view, page))
            warm.wall[view], warm.processor[view] = map(statistics.median, zip(*again, strict=True))
    return cold, warm


def weigh(directory: Path) -> list[Figure]:
    """The heaviest page with its style sheet and script: as text, and on its way to a browser."""
    pages = [view for view in VIEWS if not view.startswith("/api")]
    with served(directory) as (address, _):
        found = {
            view: [sum(_bytes(address + part, how) for part in (view, *ASSETS)) / 1000 for how in ENCODINGS]
            for view in pages
        }
    plain_, packed = (max(found, key=lambda view, at=at: found[view][at]) for at in range(2))
    return [
        at_most("the heaviest page with what it loads", found[plain_][0], "kB", 150, f"`{plain_}`"),
        plain("the heaviest page on its way to a browser", found[packed][1], "kB", f"`{packed}`, gzip"),
    ]


def _bytes(address: str, encoding: str) -> int:
    asked = urllib.request.Request(address, headers={"accept-encoding": encoding})
    with urllib.request.urlopen(asked, timeout=120) as answer:
        return len(answer.read())


def run() -> list[Figure]:
    """95th percentiles over the views."""
    directory = Path(tempfile.mkdtemp())
    try:
        fill(directory)
        size = sum(path.stat().st_size for path in directory.iterdir()) / 1e6
        weight = weigh(directory)
        cold, warm = measure(directory)
        files, _again = measure(directory, 1, views=FILES)
        with limited() as group:
            slow = measure(directory, 3, group) if group is not None else None
    finally:
        shutil.rmtree(directory)
    zero = "a fifth of a processor, a stand-in for a Zero 2 W"
    limits = [] if slow is None else [
        at_most("the same under a CPU limit, cold, 95th percentile", _p95(slow[0].wall), "ms", 1500,
                f"{zero}; {_worst(slow[0].wall)}"),
        at_most("the same under a CPU limit, warm, 95th percentile", _p95(slow[1].wall), "ms", 500,
                f"{zero}; {_worst(slow[1].wall)}"),
    ]  # fmt: skip
    return [
        at_most("any view, any range, cold, 95th percentile", _p95(cold.wall), "ms", 300, _worst(cold.wall)),
        plain("of this, processor time, 95th percentile", _p95(cold.processor), "ms", BUSY),
        at_most("any view, any range, warm, 95th percentile", _p95(warm.wall), "ms", 100, _worst(warm.wall)),
        plain("of this, processor time, 95th percentile, warm", _p95(warm.processor), "ms", BUSY),
        *limits,
        plain(
            "a year as a file, the slowest",
            max(files.wall.values()),
            "ms",
            f"a process of its own; {_worst(files.wall)}",
        ),
        *weight,
        plain("the history of these five years", size, "MB", "ten meters × six counters"),
    ]


def _p95(times: dict[str, float]) -> float:
    return sorted(times.values())[min(len(times) - 1, round(0.95 * len(times)) - 1)]


def _worst(times: dict[str, float]) -> str:
    worst = sorted(times, key=lambda view: -times[view])[:3]
    return "slowest: " + ", ".join(f"`{view}` {times[view]:.0f}" for view in worst)
