"""The last hour's active power of a meter: as a small SVG, as a table, and as a sentence for those who see
neither.

The picture is as wide as its place and its text keeps its size: x in percent, y in pixels; only curves are
stretched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from gateway.status.trend import POINTS, STEP_MS
from gateway.status.words.language import Locale

HEIGHT = 190
_TOP, _BOTTOM = 22.0, 162.0  # the plot, in pixels from above
_LABEL_Y = 182
_QUARTER = 90  # points in fifteen minutes
_ROW_MS = 300_000
"""A row of the table: five minutes."""
_GAP = 6
"""Points without a reading that make a gap to be drawn: a minute at least."""
_WORDED = 60
"""Points of a gap that is wide enough for words on a phone."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""The picture carries its own style; nothing else may run or load there."""

_STYLE = (
    "text{font:13px -apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Noto "
    "Sans',sans-serif;fill:#4d565e;stroke:#fcfcfa;"
    "stroke-width:4px;paint-order:stroke;stroke-linejoin:round}.n{fill:#0b5a94;font-weight:600}.g{stroke:#e3e6e3}.x{stroke:#7d868c}"
    ".c{fill:none;stroke:#0b5a94;stroke-width:2.25;stroke-linejoin:round;stroke-linecap:round;vector-effect:non-scaling-stroke}"
    ".d{fill:#0b5a94;stroke:#fcfcfa;stroke-width:2}.o{fill:#dbe5ed;fill-opacity:.55}"
    "@media(prefers-color-scheme:dark){text{fill:#a8b3bb;stroke:#101417}.n{fill:#72b8f0}.g{stroke:#232a30}.x{stroke:#76838d}"
    ".c{stroke:#72b8f0}.d{fill:#72b8f0;stroke:#101417}.o{fill:#22303c}}"
)


@dataclass(frozen=True, slots=True)
class PlotRange:
    """What stands at the bottom and at the top of the plot, in kW."""

    low: float
    high: float

    def y(self, value: float) -> float:
        """Pixels from above."""
        return round(_BOTTOM - (_BOTTOM - _TOP) * (value - self.low) / (self.high - self.low), 1)


@dataclass(frozen=True, slots=True)
class ChartSpan:
    """Five minutes of the table: local times, lowest, mean and highest kW, empty where nothing was read;
    `without`: for how long.
    """

    time: str
    low: str
    mean: str
    high: str
    without: str


@dataclass(frozen=True, slots=True)
class Hour:
    """What the picture shows, in words (`says`) and as a table (`spans`, the newest first)."""

    says: str
    spans: tuple[ChartSpan, ...]


def hour(points: Sequence[float | None], now: int, locale: Locale, interval: float = 10.0) -> Hour:
    """The picture of `points` (kW, STEP_MS apart, the last one at wall time `now`) for those who do not
    see it.
    """
    _ = locale.gettext
    known = [point for point in points if point is not None]
    if not known:
        return Hour(_("Nothing has been read in the last hour."), ())
    digits = _digits(known)
    gap = _gap(interval)
    newest = next((point for point in reversed(points[-gap:]) if point is not None), None)
    numbers = {
        "low": locale.number(min(known), digits), "high": locale.number(max(known), digits),
        "now": locale.number(newest, digits) if newest is not None else "–",
    }  # fmt: skip
    says = _("Active power of the last hour in kW: lowest %(low)s, highest %(high)s, now %(now)s.") % numbers
    empty = sum(last - first for first, last in _gaps(points, gap))
    if empty:
        says += " " + _("Without readings: %(span)s.") % {"span": locale.span(empty * STEP_MS / 1000)}
    return Hour(says, tuple(_spans(points, now, digits, gap, locale)))


def _spans(
    points: Sequence[float | None], now: int, digits: int, gap: int, locale: Locale
) -> list[ChartSpan]:
    first = now - (POINTS - 1) * STEP_MS
    timed = [(first + index * STEP_MS, point) for index, point in enumerate(points)]
    spans = []
    for start, group in groupby(timed, lambda pair: pair[0] // _ROW_MS):
        all_points = [point for _, point in group]
        found = [point for point in all_points if point is not None]
        empty = len(all_points) - len(found)
        times = f"{locale.time(start * _ROW_MS)}–{locale.time((start + 1) * _ROW_MS)}"
        low, mean, high = (
            (locale.number(n, digits) for n in (min(found), sum(found) / len(found), max(found)))
            if found
            else ("", "", "")
        )
        spans.append(
            ChartSpan(times, low, mean, high, locale.span(empty * STEP_MS / 1000) if empty >= gap else "")
        )
    return spans[::-1]


def power_chart(points: Sequence[float | None], now: int, locale: Locale, interval: float = 10.0) -> bytes:
    """An SVG of POINTS numbers in kW that end at wall time `now` (ms), read every `interval` s; gaps stay
    gaps.
    """
    gap = _gap(interval)
    known = [point for point in points if point is not None]
    parts = [f"<style>{_STYLE}</style>"]
    if known:
        ticks, decimals = axis(min([*known, 0.0]), max([*known, 0.0]))
        decimals = decimals if len(ticks) > 1 else 0
        low, high = ticks[0], max(ticks[-1], ticks[0] + 1e-9)
        scale = PlotRange(low, high)
        parts += [
            *_open(points, gap, locale),
            *_axes(ticks, scale, decimals, now, locale),
            *_curves(points, gap, scale),
        ]
        parts += _now(points, gap, scale, _digits(known), locale)
    else:
        text = escape(locale.gettext("Nothing has been read in the last hour."))
        parts += [
            f'<line class="x" x2="100%" y1="{_BOTTOM}" y2="{_BOTTOM}"/><text x="50%" y="92" '
            f'text-anchor="middle">{text}</text>'
        ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="100%" height="{HEIGHT}">{"".join(parts)}</svg>'
    ).encode()


def _axes(ticks: list[float], scale: PlotRange, decimals: int, now: int, locale: Locale) -> list[str]:
    parts = []
    for tick in ticks:
        y = scale.y(tick)
        parts.append(f'<line class="{"g" if tick else "x"}" x2="100%" y1="{y}" y2="{y}"/>')
    for tick in ticks:
        text = locale.number(tick, decimals) + ("\u00a0kW" if tick == ticks[-1] else "")
        parts.append(f'<text y="{scale.y(tick) - 4:g}">{text}</text>')
    for quarter, anchor in ((0, "end"), (1, "middle"), (2, "middle"), (3, "middle"), (4, "start")):
        index = POINTS - 1 - quarter * _QUARTER
        time = locale.time(now - (POINTS - 1 - max(index, 0)) * STEP_MS)
        parts.append(f'<text x="{100 - 25 * quarter}%" y="{_LABEL_Y}" text-anchor="{anchor}">{time}</text>')
    return parts


def _curves(points: Sequence[float | None], gap: int, scale: PlotRange) -> list[str]:
    """A line for each stretch of readings; a single one is a dot."""
    lines, dots = [], []
    for stretch in _stretches(points, gap):
        if len(stretch) == 1:
            index, point = stretch[0]
            dots.append(f'<circle class="d" cx="{_x(index)}%" cy="{scale.y(point)}" r="3"/>')
        else:
            along = " ".join(f"{index},{scale.y(point)}" for index, point in stretch)
            lines.append(f'<polyline class="c" points="{along}"/>')
    view = (
        f'<svg width="100%" height="{HEIGHT}" viewBox="0 0 {POINTS - 1} {HEIGHT}" '
        f'preserveAspectRatio="none">{"".join(lines)}</svg>'
    )
    return [view, *dots]


def _stretches(points: Sequence[float | None], gap: int) -> list[list[tuple[int, float]]]:
    """Readings without a gap between them; what a slow meter leaves out between two polls is none."""
    found: list[list[tuple[int, float]]] = []
    for index, point in enumerate(points):
        if point is None:
            continue
        if not found or index - found[-1][-1][0] > gap:
            found.append([])
        found[-1].append((index, point))
    return found


def _gaps(points: Sequence[float | None], gap: int) -> list[tuple[int, int]]:
    """First and last index, that one excluded, of each stretch without readings that is so long."""
    gaps, before = [], 0
    for index, point in enumerate([*points, 0.0]):
        if point is not None:
            if index - before >= gap:
                gaps.append((before, index))
            before = index + 1
    return gaps


def _open(points: Sequence[float | None], gap: int, locale: Locale) -> list[str]:
    """Where nothing was read: a pale field, with words where there is room."""
    parts = []
    for first, last in _gaps(points, gap):
        left, width = _x(first), round(_x(last) - _x(first), 2)
        parts.append(f'<rect class="o" x="{left}%" width="{width}%" y="{_TOP}" height="{_BOTTOM - _TOP}"/>')
        if last - first >= _WORDED:
            text = escape(locale.gettext("no reading"))
            parts.append(
                f'<text x="{left + width / 2:g}%" y="{_BOTTOM - 8}" text-anchor="middle">{text}</text>'
            )
    return parts


def _now(
    points: Sequence[float | None], gap: int, scale: PlotRange, digits: int, locale: Locale
) -> list[str]:
    """The newest reading, if it is one of now."""
    recent = [
        (index, point) for index, point in enumerate(points) if point is not None and index >= POINTS - gap
    ]
    if not recent:
        return []
    index, point = recent[-1]
    y = scale.y(point)
    text_y = y - 9 if y > _TOP + 20 else y + 20
    label = (
        f'<text class="n" x="100%" y="{text_y:g}" '
        f'text-anchor="end">{locale.number(point, digits)}\u00a0kW</text>'
    )
    return [f'<circle class="d" cx="{_x(index)}%" cy="{y}" r="4"/>', label]


def _x(index: int) -> float:
    return round(100 * index / (POINTS - 1), 2)


def _gap(interval: float) -> int:
    """Points without a reading that are no longer the rhythm of a meter that is read every `interval` s."""
    return max(_GAP, round(3000 * interval / STEP_MS) + 1)


def _digits(known: list[float]) -> int:
    largest = max(abs(point) for point in known)
    # As many as in every column of powers.
    return 1 if not largest else 3 if largest < 1 else 2 if largest < 10 else 1


def axis(low: float, high: float) -> tuple[list[float], int]:
    """Round numbers that span `low` to `high` (low ≤ 0 ≤ high), and the decimals that they need."""
    rough = max(high - low, 0.003) / 3
    power = math.floor(math.log10(rough))
    step = next(nice * 10.0**power for nice in (1, 2, 5, 10) if nice * 10.0**power >= rough * 0.999)
    ticks = range(math.floor(low / step + 0.001), math.ceil(high / step - 0.001) + 1)
    return [tick * step for tick in ticks], max(0, -math.floor(math.log10(step) + 0.001))
