"""The one journal thread: jobs one after the other, small pieces of housekeeping between them, and a
heartbeat.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

PULSE = 1.0
"""Seconds between heartbeats when there is nothing to do."""

_Job = tuple[Future[Any], Callable[[], Any]]


class JournalThread:
    """Runs what it is given, in order.

    Between jobs it calls `idle`, which does at most one slice of work and returns the seconds until it wants
    to be called again. `ended` is called after each job, before its outcome is told, and after each slice.
    """

    def __init__(self, idle: Callable[[], float], ended: Callable[[], None]) -> None:
        self._idle = idle
        self._ended = ended
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._open = True
        """Whether jobs are accepted: nobody is put behind the end of the queue."""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self.heartbeat = time.monotonic()
        self._thread.start()

    def call(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue `job`; its result or its exception arrives in the future, which is cancelled when the thread
        has ended, or ends without coming to it.
        """
        future: Future[T] = Future()
        with self._gate:
            if self._open:
                self._jobs.put((future, lambda: job(*args, **kwargs)))
            else:
                future.cancel()
        return future

    def stop(self) -> None:
        """Let the queued jobs finish and end the thread. Never called from within it."""
        with self._gate:
            self._open = False
            self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            # However it ends: whoever is still in the queue is told that nobody will come.
            with self._gate:
                self._open = False
            with suppress(queue.Empty):
                while True:
                    if item := self._jobs.get_nowait():
                        item[0].cancel()

    def _work(self) -> None:
        wait = 0.0
        while True:
            try:
                item = self._jobs.get(timeout=min(wait, PULSE)) if wait > 0 else self._jobs.get_nowait()
            except queue.Empty:
                self.heartbeat = time.monotonic()
                wait = self._rest()
                continue
            self.heartbeat = time.monotonic()
            if item is None:
                return
            future, job = item
            if future.set_running_or_notify_cancel():
                try:
                    result = job()
                except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
                    self._tell_ended()
                    future.set_exception(error)
                else:
                    self._tell_ended()
                    future.set_result(result)
            wait = 0.0

    def _rest(self) -> float:
        try:
            return self._idle()
        except Exception:
            # Whatever it is: who waits for a commit needs this thread.
            log.exception("the journal's housekeeping failed in an unforeseen way")
            return PULSE
        finally:
            self._tell_ended()

    def _tell_ended(self) -> None:
        try:
            self._ended()
        except Exception:
            log.exception("what the journal says of itself could not be brought up to date")
