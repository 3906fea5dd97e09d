"""Pictures as SVG markup inside the page: fluid width, fixed text. x in percent, y in pixels; only curves are
stretched. Classes carry the colours, so that light, dark and print are one picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby

from markupsafe import Markup

_TOP, _FOOT = 18.0, 22.0
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LINES = 5
_WIDE = 1000
"""Units of a stretched curve's width."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One column: parts from below (class, value, title), what it is compared with, and its place's label.
    `sign`: class of a ring above it, w0 where a part of it was shared out over a gap, q2 where it lacks one.
    """

    parts: tuple[tuple[str, float, str], ...]
    compared: float | None = None
    compared_title: str = ""
    label: str = ""
    sign: str = ""
    hollow: tuple[float, str] | None = None
    """On top, not filled: value and title."""

    @property
    def total(self) -> float:
        """The height of its filled parts."""
        return sum(value for _, value, _ in self.parts)


@dataclass(frozen=True, slots=True)
class Curve:
    """y values at equal distances, None where nothing is known; `css` is its class."""

    values: tuple[float | None, ...]
    css: str


@dataclass(frozen=True, slots=True)
class Scale:
    """0 at the bottom, `top` at the top line, `step` between lines."""

    top: float
    step: float

    @property
    def lines(self) -> list[float]:
        """Where lines stand, from below."""
        return [self.step * k for k in range(round(self.top / self.step) + 1)]


def scale(most: float) -> Scale:
    """Two to five lines at round numbers, the top one not below the highest value."""
    if most <= 0:
        return Scale(1.0, 1.0)
    rough = most / _LINES
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in _STEPS if factor * power >= rough * (1 - 1e-9))
    return Scale(step * math.ceil(most / step - 1e-9), step)


def bars(
    columns: Sequence[Bar], *, height: int, says: str, number: Numbers, labels: Iterable[Label] = ()
) -> Markup:
    """Stacked columns with a tick across each for what it is compared with."""
    highest = max(
        (max(bar.total + (bar.hollow[0] if bar.hollow else 0.0), bar.compared or 0.0) for bar in columns),
        default=0.0,
    )
    axis = scale(highest)
    floor = height - _FOOT
    count = max(1, len(columns))
    width = 100 / count
    gap = width * 0.24
    out = [_grid(axis, height, number)[0]]
    crowded = sum(bool(bar.label) for bar in columns) > _CROWDED
    if count > _MANY:
        out.append(_steps(columns, axis, height))
        named = [(at * width, bar.label) for at, bar in enumerate(columns) if bar.label]
        for place, (x, label) in enumerate(named):
            out.append(_place(x, height, label, "wide" if place % 2 and crowded else ""))
        out.append(hits(_said_of_many(columns), height))
        return draw_figure("".join(out), height, says, gutter=_gutter(axis, height, number))
    for place, bar in enumerate(columns):
        x, base = place * width + gap / 2, floor
        for css, value, title in bar.parts:
            tall = _tall(value, axis, height)
            if value > 0:
                out.append(draw_rect(css, x, width - gap, base - tall, tall, title))
                base -= tall
                if tall > _SEPARATED and css != bar.parts[-1][0]:
                    out.append(draw_rect("sep", x, width - gap, base - 0.75, 1.5))
        if bar.hollow and bar.hollow[0] > 0:
            tall = _tall(bar.hollow[0], axis, height)
            out.append(draw_rect("open", x, width - gap, base - tall, tall, bar.hollow[1]))
        if bar.sign:
            at = f'cx="{x + (width - gap) / 2:.2f}%" cy="{base - 7:.1f}"'
            out.append(f'<circle class="{bar.sign}" {at} r="3"/>')
        if bar.compared is not None:
            y = floor - _tall(bar.compared, axis, height)
            title = f"<title>{escape(bar.compared_title)}</title>" if bar.compared_title else ""
            out.append(
                f'<line class="cmp" x1="{place * width:.2f}%" x2="{(place + 1) * width:.2f}%" '
                f'y1="{y:.1f}" y2="{y:.1f}">{title}</line>'
            )
        if bar.label:
            # On a phone every other one has room.
            css = "wide" if place % 2 and crowded else ""
            out.append(_place(x if place else 0, height, bar.label, css))
    out += [_label(label) for label in labels]
    return draw_figure("".join(out), height, says, gutter=_gutter(axis, height, number))


def hits(titles: Sequence[str], height: int) -> str:
    """Invisible columns of equal width over a picture, each with what it says."""
    columns = "".join(
        f'<rect x="{place}" width="1" height="{height - _FOOT:.0f}"><title>{escape(title)}</title></rect>'
        for place, title in enumerate(titles)
        if title
    )
    return draw_stretched(f'<g class="hit">{columns}</g>', max(1, len(titles)), height)


def _said_of_many(columns: Sequence[Bar]) -> list[str]:
    """What is said of so many columns: of the first and the last of as many together as have room."""
    each = math.ceil(len(columns) / _HITS)
    said = []
    for place in range(0, len(columns), each):
        titles = [bar.parts[0][2] for bar in columns[place : place + each] if bar.parts]
        said.append(" – ".join(dict.fromkeys((titles[0], titles[-1]))) if titles else "")
    return said


def _steps(columns: Sequence[Bar], axis: Scale, height: int) -> str:
    """So many columns that they touch: an area of steps for each part, the whole behind its parts."""
    names = list(dict.fromkeys(css for bar in columns for css, _, _ in bar.parts))
    floor = height - _FOOT
    out = []
    for depth in range(len(names), 0, -1):
        shown = set(names[:depth])
        tall = (sum(value for css, value, _ in bar.parts if css in shown) for bar in columns)
        runs = groupby(round(floor - _tall(value, axis, height)) for value in tall)
        steps = "".join(f"V{y}h{len(list(run))}" for y, run in runs)
        out.append(f'<path class="{names[depth - 1]}" d="M0 {floor:.0f}{steps}V{floor:.0f}z"/>')
    return draw_stretched("".join(out), len(columns), height)


def draw_stretched(inside: str, width: int, height: int) -> str:
    """What is drawn in units of its own from left to right, over the whole width of a picture."""
    return (
        f'<svg width="100%" height="{height}" viewBox="0 0 {width} {height}" '
        f'preserveAspectRatio="none">{inside}</svg>'
    )


def curves(
    lines: Sequence[Curve],
    *,
    height: int,
    says: str,
    number: Numbers,
    ticks: Sequence[tuple[float, str]] = (),
    band: tuple[Sequence[float | None], Sequence[float | None]] | None = None,
    dot: tuple[float, float, str] | None = None,
    labels: Iterable[Label] = (),
    limit: float | None = None,
    titles: Sequence[str] = (),
) -> Markup:
    """Curves over a band (lowest, highest), a dot with its label (x in percent, value), a limit's line;
    `titles` say what stands in columns of equal width.
    """
    known = [value for line in lines for value in line.values if value is not None]
    known += [value for side in band or () for value in side if value is not None]
    axis = scale(max([*known, limit or 0.0], default=0.0))
    floor = height - _FOOT
    grid, numbers = _grid(axis, height, number)
    out, inner = [grid], []
    if band:
        inner.append(_band(band[0], band[1], axis, height))
    inner += [_path(line, axis, height) for line in lines]
    out += [draw_stretched("".join(inner), _WIDE, height), numbers]
    if limit is not None:
        y = floor - _tall(limit, axis, height)
        out.append(f'<line class="lim" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>')
    if dot is not None:
        x, value, text = dot
        y = floor - _tall(value, axis, height)
        out.append(f'<circle class="dot" cx="{x:.2f}%" cy="{y:.1f}" r="5.5"/>')
        if text:
            side = "end" if x > _RIGHT else "start"
            out.append(draw_text(x + (-1 if side == "end" else 1), max(12.0, y - 10), text, "a h", side))
    for x, text in ticks:
        side = "start" if x <= 0 else "end" if x >= 100 else "middle"
        out.append(draw_text(min(max(x, 0), 100), height - 5, text, anchor=side))
    out += [_label(label) for label in labels]
    out.append(hits(titles, height))
    return draw_figure("".join(out), height, says)


def sketch(
    lines: Sequence[Curve],
    *,
    height: int,
    band: tuple[Sequence[float | None], Sequence[float | None]] | None = None,
) -> Markup:
    """Curves over a band, from 0 to their highest value, stretched to whatever room there is: no text."""
    known = [value for line in lines for value in line.values if value is not None]
    known += [value for side in band or () for value in side if value is not None]
    axis = Scale(max([*known, 0.0]) or 1.0, 1.0)
    inner = _band(band[0], band[1], axis, height) if band else ""
    inner += "".join(_path(line, axis, height) for line in lines)
    floor = height - _FOOT
    # Numbers alone.
    return Markup(  # noqa: S704
        f'<svg class="c" viewBox="0 0 {_WIDE} {height}" preserveAspectRatio="none" aria-hidden="true">{inner}'
        f'<line class="x" x1="0" x2="{_WIDE}" y1="{floor:.0f}" y2="{floor:.0f}"/></svg>'
    )


def heat(
    rows: Sequence[tuple[str, Sequence[float | None]]], *, says: str, number: Numbers, steps: int = 6
) -> tuple[Markup, list[tuple[float, float]]]:
    """A week × the hours of the day; also the bounds of the colour steps, from below."""
    most = max((value for _, values in rows for value in values if value is not None), default=0.0)
    width = _HEAT_STEP * math.ceil(most / steps / _HEAT_STEP) if most > steps * _HEAT_STEP else most / steps
    width = width or 1.0
    tall, out = 24, []
    cells = dict.fromkeys((*(f"l{level}" for level in range(steps)), "void"), "")
    for line, (name, values) in enumerate(rows):
        y, wide = line * tall, 100 / len(values)
        for place, value in enumerate(values):
            cell = f"M{place} {y + 0.5}h1v{tall - 1.5}h-1z"
            if value is None:
                cells["void"] += f"{cell}l1 {tall - 1.5}"
                continue
            level = min(steps - 1, int(value / width))
            cells[f"l{level}"] += cell
            title = f"{name} {place:02}–{place + 1:02}: {number(value)} {number.unit}"
            out.append(
                f'<text class="hn n{level}" x="{(place + 0.5) * wide:.2f}%" y="{y + 16}">'
                f"<title>{escape(title)}</title>{escape(number(value))}</text>"
            )
    drawn = "".join(f'<path class="{css}" d="{path}"/>' for css, path in cells.items() if path)
    out.insert(0, draw_stretched(drawn, 24, tall * len(rows)))
    names = "".join(
        f'<text x="0" y="{line * tall + 16}">{escape(name)}</text>' for line, (name, _) in enumerate(rows)
    )
    height = tall * len(rows) + 20
    for hour in (0, 6, 12, 18, 24):
        side = "start" if not hour else "end" if hour == 24 else "middle"
        out.append(draw_text(hour * 100 / 24, height - 4, f"{hour:02}", anchor=side))
    left = f'<svg class="c y" height="{height}" aria-hidden="true">{names}</svg>'
    bounds = [(width * k, width * (k + 1)) for k in range(steps)]
    return draw_figure("".join(out), height, says, gutter=left), bounds


@dataclass(frozen=True, slots=True)
class Label:
    """A text at x percent, y pixels."""

    x: float
    y: float
    text: str
    css: str = "h"
    anchor: str = "end"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Writes numbers of an axis for one visitor: `write` takes value and decimals."""

    write: object = field(repr=False)
    unit: str = ""
    more: int = 0
    """Decimals that are shown beyond those of kWh and kW."""

    def __call__(self, value: float) -> str:
        """What was measured, as a picture shows it."""
        decimals = 0 if value >= _WHOLE or value == int(value) else 1
        return str(self.write(value, decimals and max(0, decimals + self.more)))  # type: ignore[operator]

    def at_line(self, value: float) -> str:
        """A line of the axis: with every digit that tells it from the next one."""
        decimals = next(each for each in range(_FINEST + 1) if each == _FINEST or _has(value, each))
        return str(self.write(value, decimals))  # type: ignore[operator]


def _has(value: float, decimals: int) -> bool:
    return abs(round(value, decimals) - value) < 1e-9 * max(1.0, abs(value))


_MANY = 120
_HITS = 93
"""Columns with a title of their own, of a picture of more than _MANY: three a day of a month."""
_EDGE = 90.0
"""Percent from which on a label ends at the edge."""
_CROWDED = 8
_SEPARATED = 3.0
_RIGHT = 70.0
_HEAT_STEP = 5.0
_WHOLE = 10.0
_FINEST = 4


def _tall(value: float, axis: Scale, height: int) -> float:
    return max(0.0, value) / axis.top * (height - _FOOT - _TOP)


def _grid(axis: Scale, height: int, number: Numbers) -> tuple[str, str]:
    """The lines of an axis, and the number at the left of each, which stands over the curves."""
    lines = numbers = ""
    for line in axis.lines:
        y = height - _FOOT - _tall(line, axis, height)
        lines += f'<line class="{"x" if not line else "g"}" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        if line:
            said = number.at_line(line)
            text = f"{said} {number.unit}" if line == axis.top else said
            numbers += draw_text(0, y - 5, text, "h", "start")
    return lines, numbers


def _gutter(axis: Scale, height: int, number: Numbers) -> str:
    floor = height - _FOOT + 4.5
    lines = "".join(
        f'<text x="2.45rem" y="{floor - _tall(line, axis, height):.1f}">{escape(number.at_line(line))}</text>'
        for line in axis.lines
    )
    return f'<svg class="c y" height="{height}" aria-hidden="true">{lines}</svg>'


def draw_rect(css: str, x: float, width: float, y: float, height: float, title: str = "") -> str:  # noqa: PLR0917 - a rectangle has as many
    """A rectangle: x and width in percent, y and height in pixels."""
    inside = f"<title>{escape(title)}</title>" if title else ""
    shape = f'<rect class="{css}" x="{x:.2f}%" width="{width:.2f}%" y="{y:.1f}" height="{height:.1f}"'
    return f"{shape}>{inside}</rect>" if inside else f"{shape}/>"


def draw_text(x: float, y: float, text: str, css: str = "", anchor: str = "middle") -> str:
    """A text at x percent, y pixels."""
    kind = f' class="{css}"' if css else ""
    return f'<text{kind} x="{x:.2f}%" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _place(x: float, height: int, text: str, css: str = "") -> str:
    """A label below the axis."""
    at, anchor = (100.0, "end") if x > _EDGE else (x, "start")
    return draw_text(at, height - 6, text, css, anchor)


def _label(label: Label) -> str:
    return draw_text(label.x, label.y, label.text, label.css, label.anchor)


def _points(values: Sequence[float | None], axis: Scale, height: int) -> list[list[str]]:
    """Runs of neighbouring points."""
    last = max(1, len(values) - 1)
    points = (
        value is not None and f"{place * _WIDE / last:.1f},{height - _FOOT - _tall(value, axis, height):.1f}"
        for place, value in enumerate(values)
    )
    return [[each for each in run if each] for known, run in groupby(points, bool) if known]


def _path(line: Curve, axis: Scale, height: int) -> str:
    return "".join(
        f'<polyline class="pl {line.css}" points="{" ".join(run)}"/>'
        for run in _points(line.values, axis, height)
    )


def _band(low: Sequence[float | None], high: Sequence[float | None], axis: Scale, height: int) -> str:
    known = [a is not None and b is not None for a, b in zip(low, high, strict=True)]
    lower, upper = (
        _points([value if both else None for value, both in zip(side, known, strict=True)], axis, height)
        for side in (low, high)
    )
    return "".join(
        f'<polygon class="bandf" points="{" ".join([*up, *reversed(down)])}"/>'
        for up, down in zip(upper, lower, strict=True)
        if len(up) > 1
    )


def draw_figure(inside: str, height: int, says: str, *, gutter: str = "") -> Markup:
    """What was drawn as a picture that says in words what it is; every text in it went through escape."""
    told = escape(says)
    svg = f'<svg class="c" height="{height}" role="img" aria-label="{told}">{inside}</svg>'
    return Markup(f'<div class="ch">{gutter}{svg}</div>' if gutter else svg)  # noqa: S704
