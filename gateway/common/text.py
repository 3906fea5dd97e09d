"""Text that came from outside: what a person may see of it, and what a name may hold.

Whatever a stranger can write (a meter, a broker, a gateway's message, a file's author) is shown on terminals,
in logs and on pages. Unicode has characters there that are not seen but act: escape sequences, line ends that
forge a log line, marks that turn the direction of what follows (UAX 9), letters of no width that make two
names look the same (UTS 39).
"""

from __future__ import annotations

import re
import unicodedata

_IGNORABLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff"
"""Seen as nothing although they are letters or marks: Default_Ignorable_Code_Point of Unicode, and the
empty Braille cell.
"""
_QUOTED = 80
"""Characters of what somebody wrote that a sentence names."""
_SUSPECT = re.compile(f"[\x00-\x1f\x7f-\x9f\xad{_IGNORABLE}]|[^\x00-\xff]")
_HIDDEN = re.compile(f"[{_IGNORABLE}]")


def is_hidden(character: str) -> bool:
    """Whether one character is not seen, or acts on what follows: controls, formats, line separators,
    surrogates, unassigned ones.
    """
    if _HIDDEN.match(character):
        return True
    return not character.isprintable() and unicodedata.category(character) != "Zs"


def visible(text: str, most: int | None = None) -> str:
    r"""The text with every hidden character written as its code point: `\x1b`, `\u202e`, `\U000e0041`; at
    most `most` characters of it.

    Blanks and letters of all languages stay as they are, line ends and tabs do not. Making visible what is
    visible changes nothing.

    >>> visible("kWh\x1b[2J")
    'kWh\\x1b[2J'
    """
    cut = text if most is None or len(text) <= most else f"{text[:most]}…"
    if cut.isascii() and cut.isprintable():
        return cut
    return _SUSPECT.sub(lambda match: _code(match[0]) if is_hidden(match[0]) else match[0], cut)


def quoted(text: object) -> str:
    """What somebody wrote, in quotes and visible, at most 80 characters of it: where a sentence names it.

    >>> quoted("izmir"), len(quoted("a" * 100_000))
    ("'izmir'", 81)
    """
    return visible(repr(text[:_QUOTED] if isinstance(text, str) else text), _QUOTED)


def in_short(text: object) -> str:
    """The same without quotes: a name, a number, an option."""
    return visible(str(text), _QUOTED)


def one_line(told: object, most: int = 300) -> str:
    r"""What a library says of an error, at most so many characters: servers tell it in several lines, some of
    them indented.

    >>> one_line("the connection failed\n\tIs the server running?\n")
    'the connection failed Is the server running?'
    """
    return visible(" ".join(str(told).split()), most)


def counted(number: int, noun: str) -> str:
    """A number and what is counted, in English: a noun whose plural is regular, at the end of what is given.

    >>> counted(1, "batch"), counted(2, "batch"), counted(0, "register address")
    ('1 batch', '2 batches', '0 register addresses')
    """
    return f"{number} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The regular plural of an English noun.

    >>> plural("entry"), plural("day"), plural("bus")
    ('entries', 'days', 'buses')
    """
    if re.search("[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if re.search("(s|x|ch|sh)$", noun) else f"{noun}s"


def _code(character: str) -> str:
    number = ord(character)
    return (
        f"\\x{number:02x}"
        if number <= 0xFF
        else f"\\u{number:04x}"
        if number <= 0xFFFF
        else f"\\U{number:08x}"
    )


def code_point(character: str) -> str:
    """How a person looks a character up: `U+200B ZERO WIDTH SPACE`; controls have no name in Unicode."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def flaw(text: str, *, blanks: bool = True, wide: bool = True) -> str | None:
    """Why `text` is no name, address or user name, in words; None when it is one.

    `blanks`: whether blanks may stand inside; `wide`: whether full-width letters and digits may, which an
    input method gives for
    those of ASCII.

    No blank at either end, no hidden character anywhere, and of the many blanks of Unicode only U+0020.
    """
    if not text:
        return "is empty"
    for place, character in enumerate(text, 1):
        inside = 1 < place < len(text)
        blank = character.isspace() or unicodedata.category(character) == "Zs"
        if is_hidden(character) or (blank and character != " "):
            return f"has a character that is not seen, {code_point(character)}, at place {place}"
        if blank and not (inside and text.strip()):
            return f"has a blank at its {'beginning' if not text[:place].strip() else 'end'}"
        if blank and not blanks:
            return f"has a blank at place {place}"
        if not wide and "\uff01" <= character <= "\uff5e":
            return (
                f"has {code_point(character)} for {unicodedata.normalize('NFKC', character)!r} at place "
                f"{place}"
            )
    return None
