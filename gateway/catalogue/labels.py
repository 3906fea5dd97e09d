"""What stands on a label: the tables that it means, and why there is none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Final

from gateway.catalogue.driver import Driver
from gateway.catalogue.load import not_here


def _small(text: str) -> str:
    """In small letters: RAPIDUS is rapıdus in Turkish ones."""
    return text.casefold().replace("ı", "i")


def _plain(text: str) -> str:
    """Without the marks of letters: Weidmuller for Weidmüller. What somebody writes with them stays: Köhler
    is not Kohler.
    """
    return "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))


def squashed(text: str) -> str:
    """A name as it is compared: without regard to capitals, blanks, dashes and dots."""
    return re.sub(r"[\W_]+", "", _small(text))


_TELLS: Final = re.compile(r"\d|.{4}")
"""What may be the beginning of a word: SMA is a maker, not the beginning of a smart meter."""
_NO_NAME: Final = {"", "meter"}
"""What is left of a model and no name: energy meter 750 is no SunSpec meter."""


def matches(driver: Driver, words: Iterable[str]) -> bool:
    """Whether every word begins a word of a driver's name, maker, model or what it covers."""
    names = [driver.name, driver.model, *driver.covers, *driver.model.split(",")]
    names += [f"{driver.maker} {name}" for name in names]
    names += [_plain(name) for name in names]
    return all((_begins if _TELLS.search(squashed(word)) else _is_whole)(word, names) for word in words)


def _parts(name: str) -> list[str]:
    """The words and the numbers of a name: SDM, 630 and MCT of SDM630MCT."""
    return re.findall(r"[^\W\d_]+|\d+", _small(name))


def _begins(word: str, names: Iterable[str]) -> bool:
    """Whether a part of a name begins with this: 630 and MCT do, DM does not."""
    wanted = squashed(word)
    return any(
        "".join(parts[at:]).startswith(wanted) for parts in map(_parts, names) for at in range(len(parts))
    )


def _is_whole(word: str, names: Iterable[str]) -> bool:
    """Whether a name has this as a part, or as parts one after the other."""
    wanted = squashed(word)
    return any(
        wanted in ("".join(parts[at:to]) for at in range(len(parts)) for to in range(at + 1, len(parts) + 1))
        for parts in map(_parts, names)
    )


def why_not(words: Iterable[str], makers: Iterable[str] = ()) -> list[str]:
    """What is said of meters that have no table and on whose label these words stand; else of those whose
    name a label begins with, if it is more than a maker's; else of a family before a number (DCRL of DCRL8).
    """
    words, known = list(words), {squashed(part) for maker in makers for part in maker.split()}
    starts = (start for at in range(len(words)) for start in _starts(_small(" ".join(words[at:])), 3))
    tries = (words, *([start] for start in starts if start not in known and not start.isdecimal()))
    letters = {part[0] for word in words if (part := re.match(r"[^\W\d_]{3,}(?=\d)", _small(word)))}
    return next((found for tried in tries if (found := lacking(tried))), []) or _said(
        lambda names: not letters.isdisjoint(_small(name.split()[-1]) for name in names if name.strip())
    )


def lacking(words: Iterable[str]) -> list[str]:
    """What is said of meters, or of rows of theirs, that are not here and have all these words."""
    words = list(words)
    return _said(lambda names: bool(words) and all(_is_whole(word, names) for word in words))


def _said(meant: Callable[[list[str]], bool]) -> list[str]:
    return [f"{names}: {why}" for names, why in not_here() if meant(re.split(r"[,:()]", names))]


def labelled(drivers: Iterable[Driver], words: Iterable[str]) -> list[Driver]:
    """Drivers that have every word; else those whose model a label begins with: EM340 of EM340DINAV23XS1X."""
    drivers, words = list(drivers), list(words)
    exact = [driver for driver in drivers if matches(driver, words)]
    if exact or not words:
        return exact
    for at in range(len(words)):  # what stands before is the maker
        known = [driver for driver in drivers if matches(driver, words[:at])]
        label = _small(" ".join(words[at:]))
        if begun := [driver for driver in known if any(size.match(label) for size in _sizes(driver))]:
            return begun
        for start in _starts(label):
            if begun := [driver for driver in known if start in _called(driver)]:
                return begun
            if re.search(r"\d", start) and lacking([start]):
                return []
        family = re.match(r"[^\W\d_]+(?=[\W_]*\d)", label)
        if family and (begun := [driver for driver in known if family[0] in _families(driver)]):
            return begun
    return []


def _sizes(driver: Driver) -> list[re.Pattern[str]]:
    """How labels of the models begin in whose names … stands for a size: MOD 10KTL3-XH of MOD …KTL3-XH, which
    is no MOD …KTL3-X.
    """
    names = (re.findall(r"…|[^\W_]+", _small(name)) for name in (*driver.covers, *_models(driver)))
    sized = ([r"\d+([.,]\d+)?" if part == "…" else part for part in parts] for parts in names if "…" in parts)
    return [re.compile(r"[\W_]*".join(parts) + r"(?![^\W_])") for parts in sized]


def _starts(label: str, letters: int = 5) -> list[str]:
    """What a label begins with, the longest first: to the end of a part, or of a number before letters."""
    starts, so_far = [], ""
    for part in re.split(r"[\W_]+", label):
        starts += [so_far + part[: end.end()] for end in re.finditer(r"\d(?=[^\W\d_])", part)]
        so_far += part
        starts.append(so_far)
    return [start for start in reversed(starts) if len(start) >= (3 if re.search(r"\d", start) else letters)]


def _called(driver: Driver) -> set[str]:
    """The models of a driver, each as it may stand on a label, with and without the maker. What is in
    brackets says something of them, unless it has a number: one phase, grid meter, but 7KM2200.
    """
    remarks = [remark for part in re.findall(r"\((.*?)\)", driver.model) for remark in part.split(",")]
    parts = [*driver.covers, *_models(driver), *(remark for remark in remarks if re.search(r"\d", remark))]
    parts += [word for part in parts for word in part.split() if re.search(r"\d", word)]
    names = {squashed(part) for part in parts} - _NO_NAME
    return names | {squashed(driver.maker) + name for name in names}


def _models(driver: Driver) -> list[str]:
    return re.split(r"[,/]| and ", re.sub(r"\(.*?\)", ",", driver.model))


def _families(driver: Driver) -> set[str]:
    """What the models of a table for whole families begin with: ECM of ECM300C, SG of SG110CX."""
    models = ",".join(map(str.strip, _models(driver)))
    family = re.search(r"^(.*) (?:series|families)\b", models)
    return {_small(name) for name in family[1].split(",") if name.isalpha()} if family else set()
