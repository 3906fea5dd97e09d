"""A sentence for each kind of error (gateway/errors.py): what it means for a visitor, and what to do.

The text of an error is written for the log. The page says its kind first, and the text behind it only when
all of it can be said in the visitor's language.
"""

from __future__ import annotations

from gateway.model import NOT_READY
from gateway.status.snapshot import BusView, JournalView, MeterView, UplinkView
from gateway.status.words.errors import in_full
from gateway.status.words.language import Locale


def sentence(leaf: str, f: Locale) -> str:
    """What an error of this class means; that of GatewayError for a name that is none."""
    words = {**_of_lines(f), **_of_files(f), **_of_others(f)}
    return words.get(leaf, words["GatewayError"])


def _of_lines(f: Locale) -> dict[str, str]:
    _ = f.gettext
    return {
        "BusError": _("A request on the line brought no usable answer. The next one is made as usual."),
        "BusDown": _(
            "The line cannot be opened. Check adapter, cable and address; it is tried again by itself."
        ),
        "NoReply": _("The meter does not answer. Check its supply, its wiring and its address."),
        "BadFrame": _(
            "What arrives is damaged. Check the line's settings, the terminating resistors and the cable."
        ),
        "OthersTalk": _(
            "Another device answers on the line. Look for a second master, or two meters with one address."
        ),
        "Refused": _("The meter refuses the question. Check whether its table fits this model."),
        "NotReady": _("The meter is busy, or not ready yet. It is asked again; if it stays so, restart it."),
    }


def _of_files(f: Locale) -> dict[str, str]:
    _ = f.gettext
    return {
        "ConfigError": _(
            "The configuration cannot be used as it is: submeter check names every mistake with its line."
        ),
        "DriverError": _(
            "A meter table cannot be used as it is: submeter drivers check names every mistake with its line."
        ),
        "JournalError": _("The store does not do what was asked. Nothing that was taken is lost."),
        "JournalBusy": _("Another process holds the store. End it: only one gateway may write there."),
        "JournalFull": _("The store has no room. Make room on the disk; readings wait in memory until then."),
        "JournalDamaged": _(
            "A file of the store is damaged. It was moved aside, and what can be read of it is read back."
        ),
        "JournalTooNew": _("The store was written by a newer version. Install that version again."),
        "HistoryError": _(
            "The history of quarter hours cannot be used at the moment. Readings are not touched by that."
        ),
        "HistoryDamaged": _(
            "The history of quarter hours is damaged. It is made again from its copy and the stored readings."
        ),
    }


def _of_others(f: Locale) -> dict[str, str]:
    _ = f.gettext
    return {
        "UplinkError": _("Something stands between this gateway and the platform. Readings are kept."),
        "LinkDown": _(
            "The platform cannot be reached. Check network and address; readings are kept and sent later."
        ),
        "LinkRefused": _(
            "Platform and gateway do not accept each other. Check user name, password and certificates; "
            "readings are kept."
        ),
        "LinkTakenOver": _(
            "Another gateway seems to have logged on under the name of this one. Give each gateway a name of "
            "its own."
        ),
        "WireError": _("A message of the platform does not keep the contract. It was counted and ignored."),
        "BackupError": _("The backup could not be made or put back. Nothing was changed by that."),
        "EnrolmentError": _(
            "The certificate of this gateway could not be made or renewed. The one that is there stays."
        ),
        "EnrolmentRefused": _("The platform gives this gateway no certificate. Its operator knows why."),
        "CommandRefused": _("A command from afar was refused. Nothing was changed by it."),
        "ControlError": _("The running gateway could not be asked. Look whether its service runs."),
        "GatewayError": _(
            "The gateway reports something; its log tells it in full: journalctl -u submeter-gateway."
        ),
    }


def told(leaf: str, text: str, f: Locale) -> tuple[str, str]:
    """The sentence of its kind, and the text of an error as far as it can be said in that language."""
    return sentence(leaf, f), in_full(text, f)


def of_bus(view: BusView) -> str:
    """The kind of a line's error."""
    return "BusDown" if view.state == "down" or view.cause else "BusError"


def of_meter(view: MeterView) -> str:
    """The kind of a meter's error, by what its last poll brought."""
    if view.missing in NOT_READY:
        return "NotReady"
    if view.missing.startswith("exception_"):
        return "Refused"
    if view.missing == "bad_frame":
        return "BadFrame"
    return "NoReply" if view.missing == "timeout" else "BusError"


def of_journal(view: JournalView) -> str:
    """The kind of the store's error."""
    return {"full": "JournalFull", "newer": "JournalTooNew", "salvaging": "JournalDamaged"}.get(
        view.state, "JournalError"
    )


def of_uplink(view: UplinkView) -> str:
    """The kind of an uplink's error."""
    return {"taken over": "LinkTakenOver", "refused": "LinkRefused", "connected": "UplinkError"}.get(
        view.state, "LinkDown"
    )
