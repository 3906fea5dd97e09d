"""Questions to a person in a terminal: Enter takes what stands in brackets, ? explains, Ctrl-C ends."""

from __future__ import annotations

from collections.abc import Callable

import click

from gateway.cli.language import N_, _
from gateway.cli.prose import say

_YES = N_("y")
_NO = N_("n")


def ask(
    question: str,
    default: str = "",
    explain: str = "",
    check: Callable[[str], str] = lambda _: "",
    *,
    needed: bool = True,
) -> str:
    """An answer that `check` finds nothing wrong with (it gives a sentence, or nothing). Raises click.Abort
    at Ctrl-C and at the end of the input.
    """
    say(question)
    while True:
        answer = _typed(f"[{default}] > " if default else "> ") or default
        if answer == "?":
            say(explain or _("There is no more to say about it."), "  ")
        elif not answer and needed:
            say(_("An answer is needed; ? explains."), "  ")
        elif answer and (flaw := check(answer)):
            say(flaw, "  ")
        else:
            return answer


def confirm(question: str, explain: str = "", *, default: bool = True) -> bool:
    """Yes or no."""
    yes, no = _(_YES), _(_NO)
    shown = f"{yes.upper()}/{no}" if default else f"{yes}/{no.upper()}"
    say(question)
    while True:
        answer = _typed(f"[{shown}] > ").casefold()
        if not answer:
            return default
        if answer == "?":
            say(explain or _("There is no more to say about it."), "  ")
        elif answer[0] in {yes, no, "y"}:
            return answer[0] != no
        else:
            say(_("%(yes)s or %(no)s") % {"yes": yes, "no": no}, "  ")


def pause(text: str) -> str:
    """Wait for Enter; what was typed before it."""
    say(text)
    return _typed("> ")


def _typed(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except (EOFError, KeyboardInterrupt):
        print()
        raise click.Abort from None
