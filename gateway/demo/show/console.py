"""What the demo prints: a few plain sentences, one live status line, and the account of the self-check."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from gateway.demo.show.account import Account
from gateway.demo.show.self_check import SelfCheck, rows
from gateway.demo.show.site import BRISK, CALM, LINES, METERS
from gateway.demo.show.supervisor import SiteCounts, Supervisor
from gateway.demo.show.worker import Worker
from gateway.errors import GatewayError

Said = Callable[[str], str]
_REFRESH = 1.0
_RESTARTS = 5
"""Restarts of one part after which the demo gives up: it would only fail again."""


class Screen:
    """Lines that stay, and one that changes: in place on a terminal, as a plain line now and then
    elsewhere.
    """

    def __init__(self, said: Said = str) -> None:
        self._said = said
        self._live = sys.stdout.isatty()
        self._shown = ""
        self._next = 0.0

    def say(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        sys.stdout.write(self._said(text) + "\n")
        sys.stdout.flush()

    def status(self, text: str) -> None:
        """The line that changes."""
        text = self._said(text)
        if self._live:
            text = text[: shutil.get_terminal_size().columns - 1]  # a line that wraps cannot be written over
            sys.stdout.write(f"\r{text:<{len(self._shown)}}")
            sys.stdout.flush()
            self._shown = text
        elif text != self._shown:
            self._shown = text
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def _clear(self) -> None:
        if self._live and self._shown:
            sys.stdout.write("\r" + " " * len(self._shown) + "\r")
            self._shown = ""

    def due(self) -> bool:
        """Whether a second has gone by."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _REFRESH
        return True


def status_line(counts: SiteCounts | None) -> str:
    """The four numbers, in batches, and the readings that are in them."""
    if counts is None:
        return "the gateway is starting …"
    return (
        f"taken {counts.taken} · delivered {counts.delivered} · missing at the platform {counts.missing} · "
        f"waiting {counts.waiting} (readings: {counts.readings})"
    )


class _Ended(BaseException):
    """Somebody pressed Ctrl-C or asked us to terminate; not an Exception, so that nothing swallows it."""


def _end(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # once is enough: stopping is bounded
    raise _Ended


def run_demo(directory: Path, *, host: str, port: int, seconds: float | None, said: Said = str) -> int:
    """The demo until Ctrl-C, or the self-check; the exit code. `said` puts a sentence into the language.

    Raises GatewayError when a part does not start.
    """
    screen = Screen(said)
    handlers = {
        number: signal.signal(number, _end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    supervisor: Supervisor | None = None
    try:
        checking = seconds is not None
        supervisor = Supervisor(
            directory, host=host, port=port, stamped=checking, pace=BRISK if checking else CALM
        )
        _introduce(screen, supervisor)
        supervisor.start()
        screen.say(f"the page: {supervisor.page}")
        screen.say(f"in another terminal: {sys.argv[0]} status --socket {supervisor.socket}")
        if seconds is not None:
            return _check(screen, supervisor, seconds, said)
        _watch(screen, supervisor)
    except _Ended:
        screen.say("everything is being stopped …")
        return 0 if seconds is None else 130
    except (OSError, RuntimeError, ValueError) as error:
        raise GatewayError(
            f"the demo cannot go on: {error}", hint=f"the logs are in {directory / 'log'}"
        ) from error
    finally:
        for number in handlers:
            signal.signal(number, signal.SIG_IGN)
        killed = supervisor.stop() if supervisor else []
        if killed:
            screen.say(f"did not stop by themselves and were killed: {', '.join(killed)}")
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return 1


def _introduce(screen: Screen, supervisor: Supervisor) -> None:
    lines = sum(meter.bus in LINES for meter in METERS)
    screen.say(
        f"starting {lines} simulated meters on {len(LINES)} serial lines at 9600 baud and "
        f"{len(METERS) - lines} over TCP,"
    )
    screen.say("a broker, the gateway, and the platform's receiver, each a process of its own")
    if supervisor.past:
        screen.say("the thirteen months before now are simulated, too; their history is made in some seconds")
    screen.say(f"everything is under {supervisor.directory}")


def _watch(screen: Screen, supervisor: Supervisor) -> None:
    """Show the status until somebody ends it; start again what falls over."""
    screen.say("The line below counts batches: what all meters gave in one slot, committed together.")
    screen.say("Ctrl-C ends it. Kill the gateway meanwhile (kill -9 PID): nothing that was taken is lost.")
    screen.say("  ".join(f"{worker.name}: PID {worker.pid}" for worker in supervisor.workers))
    restarts = dict.fromkeys(supervisor.workers, 0)
    while True:
        for worker in supervisor.workers:
            if not worker.running:
                restarts[worker] += 1
                _restart(screen, worker, restarts[worker])
        if supervisor.simulator is None or supervisor.simulator.process.poll() is not None:
            raise RuntimeError("the simulated meters are gone")
        screen.status(status_line(supervisor.counts()))
        time.sleep(_REFRESH)


def _restart(screen: Screen, worker: Worker, times: int) -> None:
    if times > _RESTARTS:
        raise RuntimeError(f"the {worker.name} has ended {times} times:\n{worker.tail()}")
    how = (
        f"was killed by signal {-worker.code}"
        if worker.code is not None and worker.code < 0
        else f"ended with {worker.code}"
    )
    time.sleep(_REFRESH)
    worker.start()
    screen.say(f"the {worker.name} {how}; started again as PID {worker.pid}")


def _check(screen: Screen, supervisor: Supervisor, seconds: float, said: Said) -> int:
    def tick() -> None:
        if screen.due():
            screen.status(status_line(supervisor.counts()))

    account = SelfCheck(supervisor, screen.say, tick).run(seconds)
    screen.say("")
    for line in table(account, said):
        screen.say(line)
    return 0 if account.good else 1


def table(account: Account, said: Said = str) -> list[str]:
    """The account in words."""
    found = [(said(what), count, said(must)) for what, count, must in rows(account)]
    width = max(len(what) for what, _, _ in found)
    lines = ["The account, judged by the simulated meters' own log:"]
    lines += [f"  {what:<{width}}  {count:>7}   {must}".rstrip() for what, count, must in found]
    if account.good:
        return [*lines, "Good: nothing was lost, nothing counts twice, no value is wrong."]
    return [*lines, "This is not good:", *(f"  - {said(problem)}" for problem in account.problems)]
