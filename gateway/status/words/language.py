"""Turkish and English: which one a visitor gets, and how numbers, times and spans are written in it."""

from __future__ import annotations

import gettext
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

LANGUAGES = {"tr": "Türkçe", "en": "English"}
DOMAIN = "submeter"
LOCALES = Path(__file__).parents[1] / "locale"


def N_(text: str) -> str:  # noqa: N802 - the usual name
    """A text of the catalogue, translated where it is said."""
    return text


_MARKS = {"tr": (".", ","), "en": (",", ".")}  # thousands, decimal
_DATES = {"tr": "%d.%m.%Y", "en": "%Y-%m-%d"}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400

_SHORT_WEEKDAYS = ("Pzt", "Sal", "Çar", "Per", "Cum", "Cmt", "Paz")
"""Turkish: the first letters of Pazartesi and Pazar, Cuma and Cumartesi are alike."""
_MONTHS = {
    "tr": (
        "Ocak",
        "Şubat",
        "Mart",
        "Nisan",
        "Mayıs",
        "Haziran",
        "Temmuz",
        "Ağustos",
        "Eylül",
        "Ekim",
        "Kasım",
        "Aralık",
    ),
    "en": (
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
}
_WEEKDAYS = {
    "tr": ("Pazartesi", "Salı", "Çarşamba", "Perşembe", "Cuma", "Cumartesi", "Pazar"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}

# Turkish suffixes go by the last word of the spoken number: on dörtten, on altıdan, kırktan; on dördü, on
# altısı, kırkı.
_FROM = {
    0: "dan", 1: "den", 2: "den", 3: "ten", 4: "ten", 5: "ten", 6: "dan", 7: "den", 8: "den", 9: "dan",
    10: "dan", 20: "den", 30: "dan", 40: "tan", 50: "den", 60: "tan", 70: "ten", 80: "den", 90: "dan",
    100: "den", 10**3: "den", 10**6: "dan", 10**9: "dan", 10**12: "dan",
}  # fmt: skip
_TO = {
    0: "a", 1: "e", 2: "ye", 3: "e", 4: "e", 5: "e", 6: "ya", 7: "ye", 8: "e", 9: "a",
    10: "a", 20: "ye", 30: "a", 40: "a", 50: "ye",
}  # fmt: skip
_OF_THEM = {
    0: "ı", 1: "i", 2: "si", 3: "ü", 4: "ü", 5: "i", 6: "sı", 7: "si", 8: "i", 9: "u",
    10: "u", 20: "si", 30: "u", 40: "ı", 50: "si", 60: "ı", 70: "i", 80: "i", 90: "ı",
    100: "ü", 10**3: "i", 10**6: "u", 10**9: "ı", 10**12: "u",
}  # fmt: skip


def _last_word(number: int) -> int:
    """The value of the last word of a spoken number: 9 of 109, 40 of 1 940, 1000 of 31 000."""
    if number % 100:
        return number % 10 or number % 100
    if number == 0:
        return 0
    sizes = (100, 10**3, 10**6, 10**9)
    return next((size for size in sizes if number % (1000 * size if size > 100 else 1000)), 10**12)


@lru_cache(maxsize=len(LANGUAGES))
def translation(language: str) -> gettext.NullTranslations:
    """The catalogue of a language. English is what the source says."""
    if language == "en":
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, LOCALES, [language], class_=_Catalogue)


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(language: str) -> frozenset[str]:
    """The texts that a language has a translation of, those with a plural left out."""
    found = translation(language)
    return found.texts if isinstance(found, _Catalogue) else frozenset()


class _Catalogue(gettext.GNUTranslations):
    """A compiled catalogue that can say what is in it."""

    _catalog: dict[str | tuple[str, int], str]

    @property
    def texts(self) -> frozenset[str]:
        return frozenset(text for text in self._catalog if isinstance(text, str) and text)


def choose(query: str | None, accept: str, default: str) -> str:
    """The language of a visitor: ?lang=, else the best of Accept-Language, else the gateway's own."""
    if query in LANGUAGES:
        return str(query)
    best, weight = default, 0.0
    for part in accept[:500].split(","):
        tag, _, parameter = part.strip().partition(";")
        # Language tags are ASCII; casefold there is safe also for the Turkish I.
        name = tag.strip()[:2].casefold()
        q = _quality(parameter)
        if name in LANGUAGES and q > weight:
            best, weight = name, q
    return best


def _quality(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0


def usual_decimals(value: float) -> int:
    """As many digits after the point as a reader can use: three below 10, one from 10 000 on, else two."""
    return 3 if abs(value) < 10 else 2 if abs(value) < 10_000 else 1  # the rule itself


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


class Locale:
    """Writes for one visitor: `language`, the gateway's time zone, and `now` (ms) to tell today from other
    days.
    """

    def __init__(self, language: str, timezone: str, now: int) -> None:
        self.language = language
        self._zone = _zone(timezone)
        self._now = now
        self.gettext = translation(language).gettext
        self.ngettext = translation(language).ngettext

    def number(self, value: float, decimals: int | None = None) -> str:
        """1.234,5 or 1,234.5; without `decimals`, as many as a reader can use."""
        if decimals is None:
            decimals = usual_decimals(value)
        thousands, point = _MARKS[self.language]
        text = f"{abs(value):,.{max(decimals, 0)}f}"
        text = text.replace(",", " ").replace(".", point).replace(" ", thousands)
        negative = value < 0 and any(digit in text for digit in "123456789")
        return f"−{text}" if negative else text

    def whole(self, value: float) -> str:
        """A count with the language's thousands separator."""
        return self.number(value, 0)

    def percent(self, part: float, decimals: int = 0) -> str:
        """A part of 1: %61 or 61%."""
        text = self.number(part * 100, decimals)
        return f"%{text}" if self.language == "tr" else f"{text}%"

    def of_whole(self, part: float, decimals: int = 0) -> str:
        """A part of 1 of what the sentence has named: %61'i, %12,4'ü; plain in English."""
        text = self.percent(part, decimals)
        if self.language != "tr":
            return text
        spoken = text.rpartition(",")[2] if "," in text else text.lstrip("%−").replace(".", "")
        return f"{text}'{_OF_THEM[_last_word(int(spoken))]}"

    def size(self, count: int) -> str:
        """Bytes in the largest fitting unit."""
        value, unit = float(count), "B"
        for unit in ("B", "kB", "MB", "GB", "TB"):  # noqa: B007 - the last one is used after the loop
            if value < 1000:  # decimal units, as on the card's label
                break
            value /= 1000
        return f"{self.number(value, 0 if unit == 'B' else 1)} {unit}"

    def of_them(self, count: int) -> str:
        """A count as a part of what the sentence has named: 8'i, 1.240'ı; plain in English."""
        text = self.whole(count)
        return f"{text}'{_OF_THEM[_last_word(count)]}" if self.language == "tr" else text

    def _local(self, ms: int) -> datetime:
        # A broken clock may say anything: a page must still come.
        try:
            return datetime.fromtimestamp(ms / 1000, self._zone)
        except (ValueError, OverflowError, OSError):
            return datetime.fromtimestamp(0, self._zone)

    def day_of(self, ms: int) -> date:
        """The local day."""
        return self._local(ms).date()

    def slot(self, ms: int) -> int:
        """The quarter hour of the local day, 0 to 95."""
        then = self._local(ms)
        return then.hour * 4 + then.minute // 15

    def full(self, ms: int) -> str:
        """Saturday 21 November 2026, 19:25:00, whatever the day."""
        then = self._local(ms)
        day, month = _WEEKDAYS[self.language][then.weekday()], _MONTHS[self.language][then.month - 1]
        date = (
            f"{then.day} {month} {then.year} {day}"
            if self.language == "tr"
            else f"{day} {then.day} {month} {then.year}"
        )
        return f"{date}, {then:%H:%M:%S}"

    def day(self, day: date, *, year: bool = False) -> str:
        """25 Kasım Çarşamba, Wednesday 25 November; with the year when it is asked for."""
        month, weekday = _MONTHS[self.language][day.month - 1], self.weekday(day.weekday())
        text = f"{day.day} {month} {day.year}" if year else f"{day.day} {month}"
        return f"{text} {weekday}" if self.language == "tr" else f"{weekday} {text}"

    def short_day(self, day: date) -> str:
        """25 Kas, 25 Nov."""
        return f"{day.day} {_MONTHS[self.language][day.month - 1][:3]}"

    def month(self, day: date, *, year: bool = True) -> str:
        """Kasım 2026, November 2026."""
        name = _MONTHS[self.language][day.month - 1]
        return f"{name} {day.year}" if year else name

    def weekday(self, number: int) -> str:
        """Pazartesi, Monday: 0 is Monday."""
        return _WEEKDAYS[self.language][number]

    def short_weekday(self, number: int) -> str:
        """Pzt, Mon: 0 is Monday."""
        return _SHORT_WEEKDAYS[number] if self.language == "tr" else self.weekday(number)[:3]

    def time(self, ms: int) -> str:
        """14:02, whatever the day."""
        return self._local(ms).strftime("%H:%M")

    def clock(self, ms: int) -> str:
        """14:02:31, with the date when it is not today's."""
        return self._moment(ms, "%H:%M:%S")

    def moment(self, ms: int) -> str:
        """14:02, with the date when it is not today's."""
        return self._moment(ms, "%H:%M")

    def _moment(self, ms: int, pattern: str) -> str:
        then = self._local(ms)
        today = then.date() == self._local(self._now).date()
        return then.strftime(pattern if today else f"{_DATES[self.language]} {pattern}")

    def since(self, ms: int) -> str:
        """How long already: since 14:02 / 14:02'den beri."""
        text = self.moment(ms)
        if self.language != "tr":
            return self.gettext("since %(time)s") % {"time": text}
        then = self._local(ms)
        return f"{text}'{_FROM[_last_word(then.minute or then.hour)]} beri"

    def until(self, ms: int) -> str:
        """Up to when, whatever the day: until 14:02 / 14:02'ye kadar."""
        text, then = self.time(ms), self._local(ms)
        if self.language != "tr":
            return self.gettext("until %(time)s") % {"time": text}
        return f"{text}'{_TO[_last_word(then.minute or then.hour)]} kadar"

    def span(self, seconds: float) -> str:
        """A span in its largest useful unit: 8 s, 12 min, 5 h, 3 days."""
        _, ngettext = self.gettext, self.ngettext
        if seconds < _MINUTE:
            return _("%(n)s s") % {"n": self.whole(int(seconds))}
        if seconds < _HOUR:
            return _("%(n)s min") % {"n": self.whole(seconds // _MINUTE)}
        if seconds < 2 * _DAY:
            return _("%(n)s h") % {"n": self.whole(seconds // _HOUR)}
        days = int(seconds // _DAY)
        return ngettext("%(n)s day", "%(n)s days", days) % {"n": self.whole(days)}

    def ago(self, seconds: float | None) -> str:
        """3 s ago, or never."""
        _ = self.gettext
        if seconds is None:
            return _("never")
        if seconds < 1:
            return _("just now")
        return _("%(span)s ago") % {"span": self.span(seconds)}
