"""What is there against what it is measured by: a bar with its usual value; the reactive energy of a month
against both limits, what is used so far, where the month is heading, where a limit is passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from markupsafe import Markup

from gateway.energy import reactive
from gateway.status.energy.charts import draw_figure, draw_rect, draw_text, scale
from gateway.status.energy.shown import DataTable, Picture, kwh
from gateway.status.words.language import Locale

_ROW = 78
_BAR, _THICK = 22, 16
"""y of a bar within its row, and its height."""
_FOOT = 20
_ROOM = 1.4
"""Times the highest limit that the axis reaches at least."""
_RIGHT = 75.0
"""Percent of the width from which on a label stands left of its place."""


def gauge(kinds: Sequence[tuple[str, reactive.ReactiveBudget]], f: Locale) -> Picture:
    """A bar for each kind. What is passed is told by place, words and an outline, never by colour alone."""
    _ = f.gettext
    highest = max(max(each.ratio, each.so_far, each.limit * _ROOM) for _name, each in kinds)
    axis = scale(highest)
    share = 100 / axis.top
    height = _ROW * len(kinds) + _FOOT
    out, rows = [], []
    for line in axis.lines:
        x = line * share
        out.append(f'<line class="g" x1="{x:.2f}%" x2="{x:.2f}%" y1="{_BAR}" y2="{height - _FOOT}"/>')
        side = "start" if not line else "end" if line == axis.lines[-1] else "middle"
        out.append(draw_text(x, height - 4, f.percent(line / 100), anchor=side))
    for place, (name, each) in enumerate(kinds):
        top = place * _ROW
        now, then = (reactive_ratio(value, f) for value in (each.so_far, each.ratio))
        limit = f.percent(each.limit / 100)
        said = {"kind": name, "now": now, "then": then, "limit": limit}
        label = _("%(kind)s: %(now)s so far, heading for %(then)s") % said
        out.append(draw_text(0, top + 12, label, "h", "start"))
        out.append(draw_rect("fg", 0, each.limit * share, top + _BAR, _THICK, _("allowed: %(limit)s") % said))
        so_far = _("%(kind)s so far: %(now)s; the limit is %(limit)s") % said
        out.append(draw_rect("fa", 0, each.so_far * share, top + _BAR + 3, _THICK - 6, so_far))
        ahead = _("%(kind)s at the end of the month: %(then)s") % said
        middle = top + _BAR + _THICK / 2
        if each.ratio > each.so_far:
            wide = (each.ratio - each.so_far) * share
            out.append(draw_rect("dash", each.so_far * share, wide, top + _BAR + 3, _THICK - 6, ahead))
        out.append(
            f'<circle class="dot" cx="{each.ratio * share:.2f}%" cy="{middle:.1f}" r="5.5">'
            f"<title>{escape(ahead)}</title></circle>"
        )
        out.append(_limit(each.limit * share, top, _("limit %(limit)s") % said))
        left = (_("%(kvarh)s kvarh left") if each.left >= 0 else _("passed by %(kvarh)s kvarh")) % {
            "kvarh": kwh(abs(each.left), f)
        }
        rows.append((name, now, then, limit, left))
    heads = (_("Kind"), _("So far"), _("Heading for"), _("Limit"), _("Left of the month"))
    says = "; ".join(
        f"{row[0]}: {heads[1]} {row[1]}, {heads[2]} {row[2]}, {heads[3]} {row[3]}" for row in rows
    )
    notes = (
        _(
            "Filled: so far. Dot: where the month is heading. Vertical line: the limit; beyond it "
            "all is billed."
        ),
    )
    unit = _("Reactive energy in per cent of the energy drawn")
    return Picture("", draw_figure("".join(out), height, says), DataTable(heads, tuple(rows)), unit, notes)


def _limit(x: float, top: int, text: str) -> str:
    line = (
        f'<line class="lim" x1="{x:.2f}%" x2="{x:.2f}%" y1="{top + _BAR - 6}" y2="{top + _BAR + _THICK + 6}">'
    )
    side = "end" if x > _RIGHT else "start"
    label = draw_text(x, top + _BAR + _THICK + 18, text, "h", side)
    return f"{line}<title>{escape(text)}</title></line>{label}"


def reactive_ratio(ratio: float, f: Locale) -> str:
    """A ratio in per cent, with the digits that it has on every page."""
    return f.percent(ratio / 100, 1)


def bullet(value: float, whole: float, *, mark: float | None = None, forecast: float | None = None) -> Markup:
    """A bar of what is there against what is usual: a tick at `mark`, the way to `forecast` dashed."""
    most = max(value, whole, mark or 0.0, forecast or 0.0) or 1.0
    share = 100 / most
    out = [f'<rect class="fg" x="0" y="4" width="{whole * share:.2f}%" height="9"/>']
    out.append(f'<rect class="fa" x="0" y="4" width="{value * share:.2f}%" height="9"/>')
    if forecast is not None and forecast > value:
        out.append(
            f'<rect class="dash" x="{value * share:.2f}%" y="4.6" width="{(forecast - value) * share:.2f}%" '
            f'height="7.8"/>'
        )
    if mark is not None:
        out.append(f'<line class="tick" x1="{mark * share:.2f}%" x2="{mark * share:.2f}%" y1="0" y2="17"/>')
    return Markup(f'<svg class="c bul" height="17" aria-hidden="true">{"".join(out)}</svg>')  # noqa: S704 - numbers
