"""The last hour of a meter's active power as a small SVG. pygal is loaded with the first picture, not with the daemon."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from gateway.status.language import Locale
from gateway.status.trend import POINTS, STEP_MS

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

WIDTH, HEIGHT = 400, 190
"""About the size at which a phone shows it: what is written in it stays readable."""
_QUARTER = 90  # points in fifteen minutes
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""pygal writes its style into the picture; nothing else may run or load there."""

_DARK = (
    "@media (prefers-color-scheme: dark) { text { fill: #a3b0a9 !important } "
    ".guide.line { stroke: #333c38 !important } .color-0 .line, .line { stroke: #5fd3a5 } }"
)


def power_chart(points: Sequence[float | None], now: int, locale: Locale) -> bytes:
    """An SVG of POINTS numbers in kW that end at wall time `now` (ms); gaps stay gaps."""
    pygal, Style = _pygal()  # noqa: N806 - a class
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground="#55615b",
        foreground_strong="#55615b",
        foreground_subtle="#d9dedb",
        font_family="system-ui, sans-serif",
        label_font_size=11,
        major_label_font_size=11,
        no_data_font_size=13,
        guide_stroke_color="#d9dedb",
        major_guide_stroke_color="#d9dedb",
        guide_stroke_dasharray="0",
        major_guide_stroke_dasharray="0",
        colors=("#0b6e4f",),
        transition="0s",
    )
    known = [point for point in points if point is not None]
    ticks, decimals = axis(min([*known, 0.0]), max([*known, 0.0]))
    labels = [""] * POINTS
    # Every quarter of an hour back from now; the oldest would collide with the axis.
    for index in range(POINTS - 1, 0, -_QUARTER):
        labels[index] = locale.time(now - (POINTS - 1 - index) * STEP_MS)
    chart = pygal.Line(
        js=[],
        css=["file://style.css", "file://graph.css", f"inline:{_DARK}"],
        style=style,
        width=WIDTH,
        height=HEIGHT,
        explicit_size=False,
        show_legend=False,
        show_dots=False,
        show_minor_x_labels=False,
        allow_interruptions=True,
        stroke_style={"width": 2},
        margin=6,
        margin_right=18,
        truncate_label=-1,
        include_x_axis=True,
        y_labels=ticks,
        no_data_text=locale.gettext("Nothing has been read in the last hour."),
        show_x_labels=bool(known),
        show_y_labels=bool(known),
        value_formatter=lambda value: locale.number(value, decimals),
        disable_xml_declaration=True,
        pretty_print=False,
    )
    chart.x_labels = labels
    chart.x_labels_major = [label for label in labels if label]
    chart.add_xml_filter(_without_scripts)
    chart.add("kW", list(points))
    svg: bytes | str = chart.render()
    return svg.encode() if isinstance(svg, str) else svg


def axis(low: float, high: float) -> tuple[list[float], int]:
    """Round numbers that span `low` to `high` (low ≤ 0 ≤ high), and the decimals that they need."""
    rough = max(high - low, 0.003) / 3
    power = math.floor(math.log10(rough))
    step = next(nice * 10.0**power for nice in (1, 2, 5, 10) if nice * 10.0**power >= rough * 0.999)
    ticks = range(math.floor(low / step + 0.001), math.ceil(high / step - 0.001) + 1)
    return [tick * step for tick in ticks], max(0, -math.floor(math.log10(step) + 0.001))


@cache
def _pygal() -> tuple[Any, Any]:
    import pygal  # noqa: PLC0415 - 2 MiB that a daemon without visitors does not pay
    from pygal.style import Style  # noqa: PLC0415 - see above

    # Its import hook for maps is of a kind that Python no longer calls, but complains about at every later import.
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]
    return pygal, Style


def _without_scripts(root: Element) -> Element:
    # pygal puts its configuration into a script, whatever `js` says.
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {"script", "{http://www.w3.org/2000/svg}script"}:
                parent.remove(child)
    return root
