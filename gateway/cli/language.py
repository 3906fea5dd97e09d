"""Turkish and English on the command line: which one, and its words, from the same catalogue as the page's.

The words are loaded when Turkish is spoken: `run` and `--help` in English pay only for what they print.
"""

from __future__ import annotations

import gettext as click_texts  # click takes its own sentences from there
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from gateway.cli import later

LANGUAGES = ("tr", "en")
_spoken = ["en"]


def N_(message: str) -> str:  # noqa: N802 - the usual name
    """A text of the catalogue that is translated later: when a command is loaded or printed."""
    return message


def _(message: str) -> str:
    """The text in the language of this run."""
    if _spoken[-1] == "en":
        return message
    return later.status.translation(_spoken[-1]).gettext(message)


def ngettext(one: str, many: str, count: int) -> str:
    """The text for a count in the language of this run."""
    if _spoken[-1] == "en":
        return one if count == 1 else many
    return later.status.translation(_spoken[-1]).ngettext(one, many, count)


def spoken() -> str:
    """The language of this run: tr or en."""
    return _spoken[-1]


def locale(timezone: str = "UTC", now: int = 0) -> later.status.Locale:
    """Numbers, times and spans in the language of this run; times in `timezone`, without a date on the day
    of `now` (ms).
    """
    return later.status.Locale(_spoken[-1], timezone, now)


def in_words(text: str) -> str:
    """An error, a problem or an action, which are written in English, in the language of this run."""
    if _spoken[-1] == "en":
        return text
    return later.status.in_words(text, locale())


def figure(text: str) -> str:
    """A number that was formatted as English writes it, with the marks of the language: 1,234.5 or
    1.234,5.
    """
    return text if _spoken[-1] == "en" else text.translate({ord(","): ".", ord("."): ","})


def choose(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """The language of a run: what --lang says last, else the locale (LC_ALL, LC_MESSAGES, LANG), else
    English.
    """
    said = ""
    for at, word in enumerate(words):
        if word == "--":
            break
        if word == "--lang" and at + 1 < len(words):
            said = words[at + 1]
        elif word.startswith("--lang="):
            said = word.removeprefix("--lang=")
    if said in LANGUAGES:
        return said
    named = next(
        (value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := environment.get(name))), ""
    )
    return "tr" if named.partition("_")[0].partition(".")[0] == "tr" else "en"


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """The language of everything that is said within, click's sentences too."""
    domain, before = click_texts.textdomain(), os.environ.get("LANGUAGE")
    _spoken.append(language)
    if language != "en":
        click_texts.bindtextdomain(later.status.DOMAIN, later.status.LOCALES)
        click_texts.textdomain(later.status.DOMAIN)
        os.environ["LANGUAGE"] = language
    try:
        yield
    finally:
        _spoken.pop()
        click_texts.textdomain(domain)
        with suppress(KeyError):
            del os.environ["LANGUAGE"]
        if before is not None:
            os.environ["LANGUAGE"] = before


CLICK = (
    N_("Usage:"),
    N_("Options"),
    N_("Commands"),
    N_("Show this message and exit."),
    N_("Show the version and exit."),
    N_("default: {default}"),
    N_("required"),
    N_("Try '{command} {option}' for help."),
    N_("Error: {message}"),
    N_("Missing command."),
    N_("Missing argument"),
    N_("Missing option"),
    N_("Missing parameter"),
    N_("No such option {name!r}."),
    N_("No such command {name!r}."),
    N_("Invalid value: {message}"),
    N_("Invalid value for {param_hint}: {message}"),
    N_("{value!r} is not a valid {number_type}."),
    N_("{value} is not in the range {range}."),
    N_("{name} {filename!r} does not exist."),
    N_("{name} {filename!r} is a directory."),
    N_("{name} {filename!r} is a file."),
    N_("{name} {filename!r} is not readable."),
    N_("file"),
    N_("directory"),
    N_("path"),
    N_("Could not open file {filename!r}: {message}"),
    N_("Aborted!"),
    N_("Option {name!r} does not take a value."),
    N_("Choose from:\n\t{choices}"),
    N_("{name} {filename!r} is not writable."),
    N_("Missing {param_type}"),
    N_("Missing parameter: {param_name}"),
    N_("(dynamic)"),
    N_("unknown error"),
    N_("Error: invalid input"),
)
"""What click says."""

PLACEHOLDERS = (
    N_("ARGS"), N_("AT"), N_("BACKUP"), N_("BITS"), N_("COMMAND"), N_("DATE"), N_("DAYS"), N_("DIRECTORY"),
    N_("FILE"), N_("FILENAME"), N_("FILES"), N_("FINGERPRINT"), N_("FLOAT"), N_("FLOAT RANGE"), N_("FOR"),
    N_("FROM"), N_("GATEWAY"), N_("HOST"), N_("INDEX"), N_("INTEGER"), N_("INTEGER RANGE"), N_("LIST"),
    N_("METER"), N_("MODEL"), N_("NAME"), N_("OPTIONS"), N_("PATH"), N_("PORT"), N_("PROFILE"),
    N_("QUANTITY"), N_("SEQ"), N_("STEP"), N_("TEXT"), N_("TIME"), N_("TO"), N_("VALUE"), N_("WHERE"),
    N_("WORDS"),
)  # fmt: skip
"""What stands for a word that is to be typed."""
TYPES = (N_("text"), N_("integer"), N_("integer range"), N_("float"), N_("float range"), N_("filename"))
"""What click calls a kind of word, beside file, directory and path."""

CLICK_COUNTED = (
    ngettext("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})", 1),
    ngettext("{value!r} is not {choice}.", "{value!r} is not one of {choices}.", 1),
    ngettext("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments.", 1),
    ngettext("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)", 1),
)
