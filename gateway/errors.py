"""The one error tree. A leaf is named by what to do next; each carries a hint for the person who reads it.

GatewayError
├─ ConfigError          mend the file; carries every problem with file:line
│  └─ DriverError       mend the driver table
├─ BusError             the line or the meter; the poller goes on
│  ├─ BusDown           port or host cannot be opened: retried with back-off
│  ├─ NoReply           nothing in time: counts against the meter
│  ├─ BadFrame          something came that is not the answer: re-sync, then on
│  │  └─ OthersTalk     a frame of another unit: asked once more
│  └─ Refused           the meter said no, with a Modbus exception code
│     └─ NotReady       it said not now: asked again
├─ JournalError         the store; nothing that was taken is lost
│  ├─ JournalBusy       another process holds the file
│  ├─ JournalFull       no room: readings wait in bounded memory
│  ├─ JournalDamaged    moved aside, salvaged beside
│  └─ JournalTooNew     written by a newer version: install that one
├─ HistoryError         history.db; made again from its copy and the journal
│  └─ HistoryDamaged    moved aside, the copy takes its place
├─ UplinkError          the broker or the platform; the journal keeps everything
│  ├─ LinkDown          not connected: retried with back-off
│  └─ LinkRefused       the broker said no (credentials, ACL, TLS): retried slowly
│     └─ LinkTakenOver  somebody else uses our client id: retried slowly, said loudly
├─ BackupError          a backup cannot be made, or cannot be put back; nothing was changed
├─ EnrolmentError       a certificate cannot be asked for, given or installed; what was there stays
├─ CommandRefused       a command of remote care is not carried out; nothing was changed
├─ WireError            a message that is not what the contract says: counted and ignored
└─ ControlError         the daemon is not running, or its socket may not be used
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.common.text import visible

_LONGEST_KEY = 160
_LONGEST_WORDS = 1000
"""Characters that a file can bring into the key of a problem, into what is wrong and into what to write: a
text of a megabyte is repeated by no line.
"""


class GatewayError(Exception):
    """Root of every error that this package raises on purpose; what came from outside into its words
    cannot act on who reads them.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = visible(message)
        self.hint = visible(hint)

    def __str__(self) -> str:
        return f"{self.message} → {self.hint}" if self.hint else self.message


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a file: where, which key, what is wrong, what to write."""

    file: str
    line: int
    key: str
    what: str
    mend: str = ""

    def __str__(self) -> str:
        key = f"{visible(self.key, _LONGEST_KEY)}: " if self.key else ""
        mend = f" → {visible(self.mend, _LONGEST_WORDS)}" if self.mend else ""
        return f"{visible(self.file)}:{self.line}: {key}{visible(self.what, _LONGEST_WORDS)}{mend}"


class ConfigError(GatewayError):
    """A file that cannot be used as it is; `problems` holds every mistake found, in file order."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("")
        self.message = "\n".join(str(problem) for problem in problems)
        self.problems = problems


class DriverError(ConfigError):
    """A driver table that cannot be used as it is."""


class BusError(GatewayError):
    """A request on a bus that brought no usable answer; `reason` goes on the wire for the absent value."""

    reason = "timeout"


Cause = Literal[
    "no_port", "permission", "in_use", "no_device", "not_serial",
    "refused", "no_route", "silent", "hung_up", "unknown_name", "no_name_server", "other",
]  # fmt: skip
"""Why a port or a host cannot be opened, for who has words of his own for it."""


class BusDown(BusError):
    """The serial port or the host cannot be opened; `cause` says why, as far as it is known."""

    def __init__(self, message: str, *, hint: str = "", cause: Cause = "other") -> None:
        super().__init__(message, hint=hint)
        self.cause: Cause = cause


class NoReply(BusError):
    """No byte, or no whole frame, within the time allowed; `heard` counts the bytes that came instead."""

    def __init__(self, message: str, *, hint: str = "", heard: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.heard = heard


class BadFrame(BusError):
    """A reply that is damaged, foreign, or not what was asked for."""

    reason = "bad_frame"
    shorter = 0
    """The registers of a whole reply of the meter that came where more were asked for; 0: it was none."""


class OthersTalk(BadFrame):
    """A frame of another unit, `other`, came while a reply of `unit` was waited for, and no whole one of it;
    or, where `other` is `unit`, two that may be its reply.
    """

    def __init__(self, unit: int, other: int) -> None:
        if other == unit:
            hint = "a line has one master: let one of them go, or let it read from this gateway"
            super().__init__(f"unit {unit}: two answers came, one of them to another master", hint=hint)
        else:
            hint = "a line has one master: look for another one, or for a meter with two addresses"
            super().__init__(f"unit {unit}: a frame of unit {other} came, and no whole answer", hint=hint)
        self.other = other


class Refused(BusError):
    """The meter answered with a Modbus exception."""

    def __init__(self, message: str, code: int, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.reason = f"exception_{code}"


MEND_FAILING = (
    "switch it off and on again, and look whether it has power (a Modbus TCP gateway may say so of a meter "
    "that does not answer); if it stays so, only its maker can mend it, unless it is another model than its "
    "table is for"
)
"""What to do about a meter that answers with a fault of its own (exceptions 4 and 8)."""


class NotReady(Refused):
    """The meter has accepted the request and needs longer (exception 5), or is busy (6): that says nothing of
    its registers.
    """


class JournalError(GatewayError):
    """The journal could not do what was asked."""


class JournalBusy(JournalError):
    """Another process holds the journal."""


class JournalFull(JournalError):
    """The file system or the budget has no room."""


class JournalDamaged(JournalError):
    """The file is not a sound journal."""


class JournalTooNew(JournalError):
    """The file was written by a newer version of this program."""


class HistoryError(GatewayError):
    """The file of intervals for page and API cannot be used; readings are not touched by that."""


class HistoryDamaged(HistoryError):
    """It contradicts itself: it is moved aside, and its copy takes its place."""


class UplinkError(GatewayError):
    """Something between us and the platform; `cause` is the word by which the page knows it, empty when
    there is none.
    """

    def __init__(self, message: str, *, hint: str = "", cause: str = "") -> None:
        super().__init__(message, hint=hint)
        self.cause = cause


class LinkDown(UplinkError):
    """The broker cannot be reached."""


class LinkRefused(UplinkError):
    """The broker was reached and said no."""


class LinkTakenOver(LinkRefused):
    """The broker gave our session to another client with the same id."""


class BackupError(GatewayError):
    """A backup that cannot be made or put back; nothing was changed."""


class EnrolmentError(GatewayError):
    """A certificate that cannot be asked for, given or installed; what was there stays."""


class EnrolmentRefused(EnrolmentError):
    """The platform gives no certificate, and says `why`: asking again brings the same answer."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the platform gives no certificate: {why}", hint="ask the platform's operator for a new token"
        )
        self.why = why


MEND_REFUSED = {
    "forged": "sign it with a key that the gateway trusts, and send it as it was signed",
    "foreign": "send it to the gateway that it names",
    "malformed": "make it with submeter care of the same version",
    "bad": "correct what it brings, and send it again",
    "not_allowed": "this is changed on the gateway itself, not from afar",
    "clock": "let the gateway reach a time server first",
    "busy": "wait until that is decided, then send it again",
    "too_many": "wait a minute, and send it again",
    "failed": "submeter care diagnostics fetches the gateway's log, which says more",
}
"""What whoever sent a command does after it was refused, by the reason; others say it with what was wrong."""

SEE_LOG = "look into the log: journalctl -u submeter-gateway"
"""What helps where this is all that is known; remote care says it instead of the mend for "failed" where
diagnostics would fail as well: every signed command does.
"""


class CommandRefused(GatewayError):
    """A command of remote care that is not carried out; nothing was changed. `reason` is what it is counted
    under.
    """

    def __init__(self, reason: str, message: str, *, hint: str | None = None) -> None:
        """Without a `hint`: what whoever sent it does after a refusal of this kind."""
        super().__init__(message, hint=MEND_REFUSED.get(reason, "") if hint is None else hint)
        self.reason = reason


class WireError(GatewayError):
    """A message that does not keep the contract."""


class ControlError(GatewayError):
    """The running daemon cannot be asked, or says no; its answer may have several lines."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.message = "\n".join(visible(line) for line in message.split("\n"))
