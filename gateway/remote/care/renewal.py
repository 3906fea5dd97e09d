"""The certificate of an uplink is renewed over MQTT before it ends; keys and certificates are made and read
by a process that ends.
"""

from __future__ import annotations

import asyncio
import logging
import random
import subprocess
import sys
from typing import Any, Protocol

from gateway.common.text import visible
from gateway.common.troubles import Troubles
from gateway.common.wait import wait_for_event
from gateway.config import RemoteSection, Uplink
from gateway.errors import EnrolmentError, EnrolmentRefused, WireError
from gateway.wire import parse
from gateway.wire.enrolment import EnrolmentAnswer, EnrolmentRequest

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""s that an answer is waited for."""
FIRST, AGAIN = 2.0, 3600.0
"""s until the first look, and between two; a look that found no connection is repeated after FIRST."""
LIMIT = 60.0
_BY_HAND = "try it by hand: sudo submeter enroll --renew"


class RenewalHost(Protocol):
    """The gateway, as the renewal of its certificate needs it."""

    gateway: str

    def uplink(self) -> Uplink | None:
        """The uplink whose certificate is meant."""

    def left(self) -> float | None:
        """S until its certificate ends; None while there is none, or nobody vouches for the clock."""

    def connected(self) -> bool:
        """Whether the uplink is connected."""

    def ask(self, payload: bytes) -> None:
        """Say something on P/enroll/request."""

    async def renewed(self, kind: str, fields: dict[str, Any]) -> None:
        """An event: what came of it. The files may be others now."""


class Renewal:
    """Lives on the event loop; outlives a reload."""

    def __init__(self, host: RenewalHost, section: RemoteSection) -> None:
        self._host = host
        self.section = section
        self._asked = ""
        self._answer: EnrolmentAnswer | None = None
        self._woken = asyncio.Event()
        self._troubles = Troubles(log, "renewal: ")

    def received(self, payload: bytes) -> None:
        """A message on P/enroll/answer."""
        try:
            answer = parse(EnrolmentAnswer, payload)
        except WireError as error:
            log.warning("renewal: an answer that is none: %s", error)
            return
        if answer.id == self._asked:
            self._answer = answer
            self._woken.set()

    async def run(self) -> None:
        """Renew in time, for ever."""
        while True:
            await asyncio.sleep(FIRST)
            try:
                asked = await self._turn()
            except EnrolmentError as error:
                asked = True
                if self._troubles.begin("renewal", f"the certificate is not renewed: {error}"):
                    await self._host.renewed("certificate_not_renewed", self._fields(why=error.message))
            # A city does not ask all at once.
            await asyncio.sleep(AGAIN * random.uniform(0.5, 1.0) if asked else 0.0)  # noqa: S311

    async def _turn(self) -> bool:
        """Look once; False when it should have been renewed and there is no connection."""
        uplink, ahead = self._host.uplink(), self.section.renew
        if uplink is None or ahead is None:
            return True
        left = await asyncio.to_thread(self._host.left)
        if left is None or left > ahead:
            return True
        if not self._host.connected():
            return False
        request = await asyncio.to_thread(self._process, uplink, "request", "")
        self._asked, self._answer = parse(EnrolmentRequest, request.encode()).id, None
        self._woken.clear()
        self._host.ask(request.encode())
        await wait_for_event(self._woken, PATIENCE)
        if self._answer is None:
            raise EnrolmentError("no answer came", hint="is submeter sign run running at the platform?")
        if not self._answer.ok or not self._answer.certificate:
            why = visible(self._answer.error or "without a reason", 300)
            raise EnrolmentRefused(why)
        until = await asyncio.to_thread(self._process, uplink, "install", self._answer.certificate)
        self._troubles.end("renewal", "the certificate is renewed")
        log.info("renewal: uplink %s has a new certificate", uplink.name)
        await self._host.renewed("certificate_renewed", self._fields(until=int(until)))
        return True

    def _fields(self, **more: object) -> dict[str, Any]:
        return {"uplink": self.section.uplink, **more}

    def _process(self, uplink: Uplink, verb: str, said: str) -> str:
        files = [uplink.cert or "", uplink.key or ""]
        command = [sys.executable, "-m", "gateway.remote.enrolment", verb, self._host.gateway, *files]
        try:
            done = subprocess.run(  # noqa: S603
                command, input=said, capture_output=True, text=True, timeout=LIMIT, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EnrolmentError(f"{verb} failed: {error}", hint=_BY_HAND) from error
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            what, _arrow, mend = (lines[-1] if lines else f"{verb} failed").partition(" → ")
            raise EnrolmentError(what, hint=mend or _BY_HAND)
        return done.stdout
