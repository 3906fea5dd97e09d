"""Who has the technician's window, and until when. No I/O."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

WINDOW_SECONDS = 600.0
"""s that it is open."""
OPEN, READ, IDENTIFY = "/technician/open", "/technician/read", "/technician/identify"
FORMS_AT = frozenset({OPEN, READ, IDENTIFY})
"""The only addresses of the page that take a request which is no reading one, while the window is open."""
Why = Literal["pressed", "over", "stopped"]
Tell = Callable[[str, dict[str, Any]], None]
"""Puts an event, by kind and fields, into the journal."""


class TechnicianWindow:
    """Open for `WINDOW_SECONDS` s; it belongs to the first browser that asks, by a cookie that nobody else
    has.

    Each form carries a token that is good once.
    """

    def __init__(self, tell: Tell, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self._until: float | None = None
        self._cookie = self._token = ""

    @property
    def left(self) -> float:
        """Seconds until it ends; 0 while it is not open."""
        return 0.0 if self._until is None else max(0.0, self._until - self._clock())

    @property
    def is_open(self) -> bool:
        """Whether its time is not over."""
        return self.left > 0.0

    @property
    def owned(self) -> bool:
        """Whether a browser has it."""
        return bool(self._cookie)

    @property
    def token(self) -> str:
        """For the next form of its owner."""
        return self._token

    def open(self) -> None:
        """Somebody who stands before the machine wants it; what was open before is over."""
        self._until, self._cookie, self._token = self._clock() + WINDOW_SECONDS, "", ""
        self._tell("technician_window_opened", {"seconds": int(WINDOW_SECONDS)})

    def end(self, why: Why) -> None:
        """It is over, and so are cookie and token."""
        if self._until is None:
            return
        self._until, self._cookie, self._token = None, "", ""
        self._tell("technician_window_ended", {"why": why})

    def claim(self, address: str) -> str | None:
        """The cookie for the first browser that asks; None for every other one."""
        if not self.is_open or self.owned:
            return None
        self._cookie, self._token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self._tell("technician_window_taken", {"address": address})
        return self._cookie

    def belongs_to(self, cookie: str) -> bool:
        """Whether it is open, and this is its owner's cookie."""
        return self.is_open and self.owned and hmac.compare_digest(self._cookie.encode(), cookie.encode())

    def spend(self, token: str) -> bool:
        """Whether this is the token of the newest form; it is good once."""
        good = self.is_open and self.owned and hmac.compare_digest(self._token.encode(), token.encode())
        if good:
            self._token = secrets.token_urlsafe(32)
        return good

    def accepts(self, path: str) -> bool:
        """Whether an address takes a form now."""
        return path in FORMS_AT and self.is_open

    def used(self, action: str, meter: str = "") -> None:
        """Its owner read a meter or let the lamps flash: said in the journal."""
        self._tell("technician_window_used", {"action": action, **({"meter": meter} if meter else {})})


class TechnicianDesk(Protocol):
    """The daemon, as the window sees it. Called on the event loop."""

    window: TechnicianWindow

    async def lines(self) -> list[str]:
        """The last lines of the log, without secrets."""

    async def bundle(self) -> dict[str, Any]:
        """What somebody far away needs to understand this gateway, without secrets."""

    async def read(self, meter: str) -> dict[str, Any]:
        """Poll a meter now: its reading, and the registers as they came. Raises GatewayError."""

    def identify(self) -> bool:
        """Let the lamps flash; whether there are any."""
