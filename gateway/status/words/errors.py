"""What an error says, in the visitor's language.

An error is written once, in English, where it is met: log, journal and API keep it as it is, also what a
daemon tells its commands. Whoever shows it to a person finds the sentence of the catalogue that it was made
from, and says that one with the same values. What the catalogue does not have stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from gateway.status.words.language import N_, Locale, catalogue, translation

_ARROW = " → "
_HEAD = re.compile(r"(?P<place>\S+:\d+: )(?P<key>[\w.\[\]-]+: )?(?P<rest>.+)")
"""Where a problem is: file, line, key."""
_VALUE = re.compile(r"%\(\d+\)s")
_PREDICATE = re.compile(r" (?=(?:is|has|may|must|cannot|stands|carries|overlaps|expires?|expired|does)\b)")
"""Where the subject of a sentence may end that the catalogue has without one, like `is missing`."""
_KEY = re.compile("[a-z]+(?:_[a-z]+)*")
_KEYS = re.compile(f"{_KEY.pattern}(?:, {_KEY.pattern})*")
_CHANGE = re.compile(f"({_KEY.pattern}) was (.*?), is (.*)", re.DOTALL)
"""How a key of the configuration was changed: what it was, what it is."""
_NEXT_CHANGE = re.compile(f", (?={_KEY.pattern} was .*?, is )", re.DOTALL)
_CHOICE = re.compile(r"(?P<some>\S+(?:, \S+)*) or (?P<last>\S+)")
"""Names to choose from; prose has more words."""
_NAMED = re.compile(r"(?P<kind>meter|bus|line|pulse input|uplink|table) (?P<name>\S+)")
_LONGEST = 2000
"""Characters of a sentence; what is longer is no sentence of ours, and costs time to look at."""
_SHORTEST = 2
"""A letter alone is a name or an answer to type, no sentence."""
_DEEP = 5
"""Values in values: a bus cannot be opened for a reason with a name in it."""


Way = Callable[[str, str, int], str | None]
"""Text, language, depth → the sentence in that language, None when this is no way to it."""


BITS = (
    N_("cannot be reached: %(1)s"),
    N_("write %(1)s"),
    N_("at least %(1)s"),
    N_("at most %(1)s"),
    N_("more than %(1)s"),
    N_("less than %(1)s"),
)
"""What a rule of the configuration is put together from."""
OR = N_("or")
KINDS = (N_("meter"), N_("bus"), N_("line"), N_("pulse input"), N_("uplink"), N_("table"))
"""What stands before a name."""
OF_THE_SYSTEM = (
    N_("No such file or directory"),
    N_("Permission denied"),
    N_("No space left on device"),
    N_("Read-only file system"),
    N_("Input/output error"),
    N_("Is a directory"),
    N_("Not a directory"),
    N_("File name too long"),
    N_("Connection refused"),
    N_("Connection reset by peer"),
    N_("Connection timed out"),
    N_("timed out"),
    N_("WebSocket handshake error"),
    N_("No route to host"),
    N_("Network is unreachable"),
    N_("Address already in use"),
    N_("Cannot assign requested address"),
    N_("Name or service not known"),
    N_("Temporary failure in name resolution"),
    N_("No such device or address"),
    N_("No such device"),
    N_("Device or resource busy"),
    N_("Operation not permitted"),
    N_("Broken pipe"),
    N_("disk I/O error"),
    N_("database disk image is malformed"),
    N_("attempt to write a readonly database"),
    N_("database or disk is full"),
    N_("unable to open database file"),
    N_("certificate has expired"),
    N_("self-signed certificate"),
    N_("self-signed certificate in certificate chain"),
    N_("unable to get local issuer certificate"),
    N_("certificate is not yet valid"),
)
"""What the operating system, SQLite and TLS say, as far as it is often met."""


def in_words(text: str, f: Locale) -> str:
    """An error, a problem, its action, or several lines of them, in the language of `f`."""
    return text if f.language == "en" or not text else _lines(text, f.language)


def has_words(text: str, f: Locale) -> bool:
    """Whether it can be said in that language: what is English there must be marked as that, or left out."""
    return f.language == "en" or in_words(text, f) != text


_RUN = re.compile(r"\b[a-z]{2,}(?: (?:[a-z]{2,}|\d+))* [a-z]{2,}\b")
"""Plain words behind each other: prose, not a name."""
_COMMAND = re.compile(r"(?:sudo|submeter|systemctl|journalctl|apt)\b")
"""What is to be typed is the same in every language."""


def in_full(text: str, f: Locale) -> str:
    """The same as `in_words`; empty when words of it would stay English."""
    said = in_words(text, f)
    if f.language == "en" or not any(run in text for run in _RUN.findall(said) if not _COMMAND.match(run)):
        return said
    return ""


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of the catalogue with values: `literal` is the longest piece of it between two values."""

    id: str
    pattern: re.Pattern[str]
    literal: str


@lru_cache(maxsize=4)
def _sentences(language: str) -> tuple[_Sentence, ...]:
    """Every sentence with values, the most particular first."""
    found = []
    for text in catalogue(language):
        if not _VALUE.search(text):
            continue
        pieces = [piece.replace("%%", "%") for piece in _VALUE.split(text)]
        pattern = re.compile("(.*?)".join(map(re.escape, pieces)), re.DOTALL)
        found.append((len("".join(pieces)), _Sentence(text, pattern, max(pieces, key=len))))
    return tuple(sentence for _, sentence in sorted(found, key=lambda each: -each[0]))


@lru_cache(maxsize=512)
def _lines(text: str, language: str) -> str:
    return "\n".join(_line(line, language) for line in text.split("\n"))


def _line(line: str, language: str) -> str:
    """What is wrong, and what to do about it."""
    if (head := _HEAD.fullmatch(line)) is not None:
        place = head["place"] + (head["key"] or "")
        return place + _ARROW.join(_said(part, language) for part in head["rest"].split(_ARROW))
    return _ARROW.join(_said(part, language) for part in line.split(_ARROW))


@lru_cache(maxsize=4096)
def _said(text: str, language: str, deep: int = 0) -> str:
    """One sentence; itself when the catalogue has none that it can be made from."""
    own = text.strip()
    if len(own) < _SHORTEST or deep > _DEEP or len(own) > _LONGEST:
        return text
    ways: tuple[Way, ...] = (
        _whole,
        _changes,
        _named,
        _subject_and_whole,
        _with_values,
        _choice,
        _in_parts,
    )
    for way in ways:
        if (said := way(own, language, deep)) is not None:
            return text.replace(own, said, 1)
    return text


def _whole(text: str, language: str, _deep: int) -> str | None:
    return translation(language).gettext(text) if text in catalogue(language) else None


CHANGED, NOT_GIVEN = N_("%(1)s was %(2)s, is %(3)s"), N_("not given")


def _changes(text: str, language: str, deep: int) -> str | None:
    """What a reload changes: keys and values stay as they stand in the file."""
    lines = [_change(line, language, deep) for line in text.split("; ")]
    said = [line for line in lines if line is not None]
    return "; ".join(said) if len(said) == len(lines) else _change(text, language, deep)


def _change(text: str, language: str, deep: int) -> str | None:
    head, colon, rest = text.partition(": ")
    if not _CHANGE.match(rest):
        head, colon, rest = "", "", text
    found = [_CHANGE.fullmatch(change) for change in _NEXT_CHANGE.split(rest)]
    gettext = translation(language).gettext
    said = [
        gettext(CHANGED) % {"1": key, "2": gettext(old) if old == NOT_GIVEN else old,
                            "3": gettext(new) if new == NOT_GIVEN else new}
        for key, old, new in (change.groups() for change in found if change is not None)
    ]  # fmt: skip
    return _value(head, language, deep) + colon + ", ".join(said) if len(said) == len(found) else None


def _named(text: str, language: str, _deep: int) -> str | None:
    match = _NAMED.fullmatch(text)
    if match is None:
        return None
    kind, name = match["kind"], match["name"]
    return f"{translation(language).gettext(kind)} {name}"


def _with_values(text: str, language: str, deep: int) -> str | None:
    """The most particular sentence that fits, of the whole text or of all behind its subject."""
    begins = [0, *(match.end() for match in _subjects(text))]
    for sentence in _sentences(language):
        if sentence.literal not in text:
            continue
        for begin in begins:
            if (match := sentence.pattern.fullmatch(text, begin)) is not None:
                values = {str(n): _value(value, language, deep) for n, value in enumerate(match.groups(), 1)}
                return text[:begin] + translation(language).gettext(sentence.id) % values
    return None


def _value(text: str, language: str, deep: int) -> str:
    """A value in a sentence; words of small letters beside each other are names and keys of a file, or
    something else to be typed.
    """
    return text if _KEYS.fullmatch(text) else _said(text, language, deep + 1)


def _subject_and_whole(text: str, language: str, deep: int) -> str | None:
    for match in _subjects(text):
        if (said := _whole(text[match.end() :], language, deep + 1)) is not None:
            return f"{text[: match.start()]} {said}"
    return None


def _subjects(text: str) -> list[re.Match[str]]:
    """Where a subject may end; what a colon ends is none."""
    return [match for match in _PREDICATE.finditer(text) if ": " not in text[: match.start() + 1]]


def _choice(text: str, language: str, _deep: int) -> str | None:
    match = _CHOICE.fullmatch(text)
    return match and f"{match['some']} {translation(language).gettext(OR)} {match['last']}"


def _in_parts(text: str, language: str, deep: int) -> str | None:
    """Sentences that were put beside each other, or behind the name of what they are about."""
    for mark in ("; ", ": ", " (", ", "):
        first, found, rest = text.partition(mark)
        if found:
            said = _said(first, language, deep + 1), _said(rest, language, deep + 1)
            if said != (first, rest):
                return mark.join(said)
    return None
