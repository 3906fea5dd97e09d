"""Enrolment over MQTT: a gateway asks and waits, the platform's signing program answers."""

from __future__ import annotations

import logging
import time
from queue import Empty, SimpleQueue

from gateway.common.text import visible
from gateway.errors import EnrolmentError, EnrolmentRefused, WireError
from gateway.mqtt import Broker, Hearing
from gateway.remote.enrolment.authority import Authority
from gateway.remote.link import AGAIN, command_link
from gateway.wire import MAX_SMALL, Topics, parse
from gateway.wire.enrolment import EnrolmentAnswer, EnrolmentRequest

log = logging.getLogger(__name__)

_HEARING = Hearing(most=2 * MAX_SMALL, direct=True)
TURN = 0.2
QUIET = 3600.0
"""Seconds without a request after which the topic is subscribed to again."""
MOST_WAITING = 200
"""Requests that wait for the signing program; what comes on top is asked again."""
_ANY = "+"


def ask(broker: Broker, asked: EnrolmentRequest, seconds: float) -> str:
    """The certificate (PEM) for a request. Raises EnrolmentError for a refusal, and when no answer comes."""
    topics = Topics(asked.gateway)
    answers: SimpleQueue[EnrolmentAnswer] = SimpleQueue()

    def hear(_topic: str, payload: bytes) -> None:
        try:
            answer = parse(EnrolmentAnswer, payload)
        except WireError as error:
            log.warning("an answer that is none: %s", error)
            return
        if answer.id == asked.id:
            answers.put(answer)

    allow = f"allow {topics.enrolment_answer} to be read in its access list"
    link = command_link(broker, [topics.enrolment_answer], _HEARING, allow)
    link.start(hear)
    end, again = time.monotonic() + seconds, 0.0
    try:
        while time.monotonic() < end:
            if time.monotonic() >= again and link.send(topics.enrolment_request, asked.to_bytes()):
                again = time.monotonic() + AGAIN  # the same request brings the same answer
            try:
                answer = answers.get(timeout=TURN)
            except Empty:
                continue
            if answer.ok and answer.certificate:
                return answer.certificate
            raise EnrolmentRefused(answer.error or "without a reason")
    finally:
        link.stop()
    raise EnrolmentError(
        f"no answer within {seconds:g} s" if again else f"{broker.address} was not reached",
        hint="is submeter sign run running at the platform? The request stays the same when it is made again",
    )


class SigningService:
    """Answers what gateways ask on P/enroll/request, until stopped. One thread hears, `run` answers."""

    def __init__(self, authority: Authority, broker: Broker) -> None:
        self._authority = authority
        self._inbox: SimpleQueue[tuple[str, bytes] | None] = SimpleQueue()
        topics = [Topics(_ANY).enrolment_request]
        allow = f"allow reading {topics[0]} in its access list"
        self._link = command_link(broker, topics, _HEARING, allow)
        self._prefix, self._suffix = topics[0].split(_ANY)
        self.given = self.refused = 0

    def run(self) -> None:
        """Answer requests for certificates; returns after `stop`."""
        self._link.start(self._hear)
        try:
            while (message := self._next()) is not None:
                self._answer(*message)
        finally:
            self._link.stop()

    def _next(self) -> tuple[str, bytes] | None:
        """What is asked next. Nothing tells whether the broker has lost our subscription."""
        while True:
            try:
                return self._inbox.get(timeout=QUIET)
            except Empty:
                self._link.subscribe_again()

    def stop(self) -> None:
        """End `run`; may be called from a signal handler."""
        self._inbox.put(None)

    def _hear(self, topic: str, payload: bytes) -> None:
        gateway = topic.removeprefix(self._prefix).removesuffix(self._suffix)
        if self._inbox.qsize() < MOST_WAITING:
            self._inbox.put((gateway, payload))

    def _answer(self, gateway: str, payload: bytes) -> None:
        try:
            asked = parse(EnrolmentRequest, payload)
        except WireError as error:
            self._refuse(gateway, str(error))
            self._authority.refused(gateway, error.message)
            return
        try:
            certificate = self._authority.answer(gateway, asked)
            answer = EnrolmentAnswer(id=asked.id, ok=True, certificate=certificate)
            self.given += 1
            log.info("%s has its certificate", visible(gateway, 64))
        except EnrolmentError as error:
            self._refuse(gateway, error.message)
            answer = EnrolmentAnswer(id=asked.id, ok=False, error=error.message[:500])
        self._link.send(Topics(gateway).enrolment_answer, answer.to_bytes())

    def _refuse(self, gateway: str, why: str) -> None:
        self.refused += 1
        log.warning("%s gets no certificate: %s", visible(gateway, 64), visible(why, 300))
