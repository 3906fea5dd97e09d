"""Changes that were handed over to submeter-apply, and what became of them: each outcome is told once."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import get_args

from gateway.common.file_versions import read_object
from gateway.common.text import visible
from gateway.errors import GatewayError
from gateway.host import write_secret
from gateway.remote.requests import apply_folder, hand_over, read_results, request_folder
from gateway.wire.care import CareState

log = logging.getLogger(__name__)

TOLD_FILE = "remote-told.json"
EVERY, SOON = 10.0, 1.0
"""s between two looks at the results; while a change is under way."""
PATIENCE = 60.0
"""s within which submeter-apply takes a request."""

Outcome = Callable[[str, CareState, str], Awaitable[None]]
"""Called with the id, the state and the error."""


class HandedOver:
    """Lives on the event loop; what was told is kept in the daemon's state directory."""

    def __init__(self, directory: Path, outcome: Outcome) -> None:
        self._directory = directory
        self._outcome = outcome
        self._told: dict[str, object] = read_object(directory / TOLD_FILE)
        self._given: dict[str, tuple[float, Path]] = {}
        self.on_trial = ""

    def room_for(self, name: str) -> Path:
        """Where a file that goes with a request is put; those of others are over."""
        folder = request_folder(self._directory)
        for old in folder.glob("*.deb"):
            old.unlink(missing_ok=True)
        return folder / name

    async def give(self, request_id: str, message: bytes) -> None:
        """Hand it over. Raises OSError."""
        place = await asyncio.to_thread(hand_over, self._directory, request_id, message)
        self._given[request_id] = (time.monotonic() + PATIENCE, place)

    async def run(self) -> None:
        """Tell what becomes of them, for ever."""
        while True:
            try:
                await self._tell_news()
            except GatewayError as error:
                log.warning("remote care: an outcome cannot be noted yet: %s", error)
            busy = self._given or self.on_trial
            await asyncio.sleep(SOON if busy else EVERY)

    async def _tell_news(self) -> None:
        results = await asyncio.to_thread(read_results, apply_folder())
        trying = [name for name, result in results.items() if result["state"] == "trying"]
        self.on_trial = trying[-1] if trying else ""
        for name, result in results.items():
            self._given.pop(name, None)
            state, error = result["state"], visible(str(result.get("error", "")), 500)
            if state in get_args(CareState) and self._told.get(name) != state:
                await self._tell(name, state, error)
        self._told = {name: state for name, state in self._told.items() if name in results}
        if self.on_trial:  # one is worked off after the other: the others' time begins when it is over
            later = time.monotonic() + PATIENCE
            self._given = {name: (later, place) for name, (_, place) in self._given.items()}
        for name, (deadline, place) in list(self._given.items()):
            if time.monotonic() > deadline:
                del self._given[name]
                await asyncio.to_thread(place.unlink, missing_ok=True)
                await self._outcome(name, "failed", "nobody took it: is submeter-apply.path enabled?")

    async def _tell(self, name: str, state: CareState, error: str) -> None:
        await self._outcome(name, state, error)
        self._told[name] = state
        text = json.dumps(self._told).encode()
        await asyncio.to_thread(write_secret, self._directory / TOLD_FILE, text)
