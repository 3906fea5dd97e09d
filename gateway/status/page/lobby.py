"""The lobby screen as HTML; in the page's worker thread."""

from __future__ import annotations

from gateway.status.energy.facts import EnergyHistory
from gateway.status.page import render
from gateway.status.screen.day import ScreenDays
from gateway.status.screen.view import language_of, lobby_screen
from gateway.status.snapshot import Snapshot


class Lobby:
    """`fixed` is the language that is asked for; empty: both in turn."""

    def __init__(self) -> None:
        self._days = ScreenDays()

    def part(self, history: EnergyHistory | None, now: Snapshot, fixed: str) -> str:
        """The HTML of what changes on the screen, for its next refresh."""
        day = self._days.get(history, now)
        return render.screen(lobby_screen(day, now, fixed or language_of(now)), now)

    def whole(self, history: EnergyHistory | None, now: Snapshot, fixed: str) -> str:
        """The HTML of the whole screen."""
        body = self.part(history, now, fixed)
        return render.whole_screen(body, now, fixed or language_of(now), fixed=bool(fixed))
