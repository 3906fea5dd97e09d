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


def gauge(kinds: Sequence[tuple[str, reactive.ReactiveBudget]], f: Locale, *, is_over: bool) -> Picture:
    """A bar for each kind of a month, which may be over. What is passed is told by place, words and an
    outline, never by colour alone.
    """
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
        out += _row(name, each, place * _ROW, share, f, is_over=is_over)
        now, then = (reactive_ratio(value, f) for value in (each.so_far, each.ratio))
        way = (now,) if is_over else (now, then)
        rows.append((name, *way, f.percent(each.limit / 100), left_of(each, f, is_over=is_over)))
    heads: tuple[str, ...] = (_("Kind"), _("So far"), _("Heading for"), _("Limit"), _("Left of the month"))
    note = _(
        "Filled: so far. Dot: where the month is heading. Vertical line: the limit; beyond it all is billed."
    )
    if is_over:
        heads = (_("Kind"), _("Reached"), _("Limit"), _("To the limit"))
        note = _("Filled: what the month came to. Vertical line: the limit; beyond it all is billed.")
    says = "; ".join(
        f"{row[0]}: " + ", ".join(f"{head} {cell}" for head, cell in zip(heads[1:], row[1:], strict=True))
        for row in rows
    )
    unit = _("Reactive energy in per cent of the energy drawn")
    return Picture("", draw_figure("".join(out), height, says), DataTable(heads, tuple(rows)), unit, (note,))


def _row(
    name: str, budget: reactive.ReactiveBudget, top: int, share: float, f: Locale, *, is_over: bool
) -> list[str]:
    """The bar of one kind with its limit, and of a month that goes on the way that lies ahead."""
    _ = f.gettext
    now, then = (reactive_ratio(value, f) for value in (budget.so_far, budget.ratio))
    said = {"kind": name, "now": now, "then": then, "limit": f.percent(budget.limit / 100)}
    y = top + _BAR
    allowed = draw_rect("fg", 0, budget.limit * share, y, _THICK, _("allowed: %(limit)s") % said)
    if is_over:
        label = so_far = _("%(kind)s: %(now)s; the limit is %(limit)s") % said
    else:
        label = _("%(kind)s: %(now)s so far, heading for %(then)s") % said
        so_far = _("%(kind)s so far: %(now)s; the limit is %(limit)s") % said
    out = [draw_text(0, top + 12, label, "h", "start"), allowed]
    out.append(draw_rect("fa", 0, budget.so_far * share, y + 3, _THICK - 6, so_far))
    if not is_over:
        ahead = _("%(kind)s at the end of the month: %(then)s") % said
        if budget.ratio > budget.so_far:
            wide = (budget.ratio - budget.so_far) * share
            out.append(draw_rect("dash", budget.so_far * share, wide, y + 3, _THICK - 6, ahead))
        out.append(
            f'<circle class="dot" cx="{budget.ratio * share:.2f}%" cy="{y + _THICK / 2:.1f}" r="5.5">'
            f"<title>{escape(ahead)}</title></circle>"
        )
    out.append(_limit(budget.limit * share, top, _("limit %(limit)s") % said))
    return out


def left_of(budget: reactive.ReactiveBudget, f: Locale, *, is_over: bool, whole: bool = True) -> str:
    """How many kvarh the limit still allows, or by how many it is passed; of gaps only a bound is known."""
    _ = f.gettext
    if budget.left < 0:
        text = _("passed by %(kvarh)s kvarh") if whole else _("passed by at least %(kvarh)s kvarh")
    elif is_over:
        text = "%(kvarh)s kvarh" if whole else _("at most %(kvarh)s kvarh")
    else:
        text = _("%(kvarh)s kvarh left") if whole else _("at most %(kvarh)s kvarh left")
    return text % {"kvarh": kwh(abs(budget.left), f)}


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
