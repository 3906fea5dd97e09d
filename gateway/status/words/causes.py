"""Why a line cannot be opened (the closed set of `gateway.errors.Cause`), or a meter brought nothing, in
the visitor's words.
"""

from __future__ import annotations

from typing import get_args

from gateway.errors import Cause
from gateway.status.words.language import Locale

CAUSES = frozenset(get_args(Cause))


def why(cause: str, f: Locale) -> str:
    """What is wrong, to stand behind a colon; empty when nobody knows."""
    _ = f.gettext
    return {
        "no_port": _("there is no such port"),
        "permission": _("the gateway may not use it"),
        "in_use": _("another program uses it"),
        "no_device": _("no device is behind it"),
        "not_serial": _("it is not a serial port, or does not know this speed"),
        "refused": _("the device refuses the connection"),
        "no_route": _("the network knows no way to it"),
        "silent": _("the device does not answer"),
        "hung_up": _("the device ends the connection at once"),
        "unknown_name": _("its name is not known"),
        "no_name_server": _("no name server answers"),
    }.get(cause, "")


def action(cause: str, f: Locale) -> str:
    """What to do about it."""
    _ = f.gettext
    check = _("Check the adapter or converter and its cable at the gateway.")
    return {
        "no_port": _("Plug the adapter in, and compare its name with the configuration."),
        "permission": _(
            "Tell the maintenance firm: the service has no right to it (group dialout, login console, or a "
            "firewall)."
        ),
        "in_use": _("End the other program: one line has one master."),
        "no_device": _("Unplug the adapter and plug it in again."),
        "not_serial": _("Check port and baud rate in the configuration."),
        "refused": _("Check the port number, and whether the device takes another connection."),
        "no_route": _(
            "Check the address, the power and the network cable of the device, and the network of the "
            "gateway."
        ),
        "silent": _("Check the address, the power and the network cable of the device."),
        "hung_up": _("End other programs that are connected to the device, or restart it."),
        "unknown_name": _("Check the name in the configuration, or write the IP address there."),
        "no_name_server": _("Check the router, or write the IP address of the device in the configuration."),
    }.get(cause, check)


def meter(reason: str, f: Locale) -> str:
    """Why a poll brought nothing, as a sentence: a reason of the wire format; codes as in Modbus
    Application Protocol 1.1b3, section 7.
    """
    _ = f.gettext
    known = {
        "": "",
        "timeout": _("It did not answer in time."),
        "bad_frame": _("Its answer arrived damaged."),
        "exception_1": _("It does not know this kind of question (code 1)."),
        "exception_2": _("It does not have these registers (code 2)."),
        "exception_3": _("It does not give so many registers at once (code 3)."),
        "exception_4": _("It reports a failure of its own (code 4)."),
        "exception_5": _("It has accepted the question and is not ready yet (code 5)."),
        "exception_6": _("It says that it is busy (code 6)."),
        "exception_8": _("It reports a fault of its memory (code 8)."),
        "exception_10": _("The converter knows no way to it (code 10)."),
        "exception_11": _("The converter got no answer from it (code 11)."),
    }
    if reason in known:
        return known[reason]
    if reason.startswith("exception_"):
        return _("It refuses with a code that the standard does not know (%(code)s).") % {
            "code": reason.removeprefix("exception_")
        }
    return _("It could not be read.")
