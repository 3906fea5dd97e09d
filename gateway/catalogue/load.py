"""Find, read and check driver tables. Every problem of a file comes at once, with its line and its mend."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from gateway.catalogue.driver import TYPES, Driver
from gateway.catalogue.header import TableHead, explain_head
from gateway.catalogue.sunspec import offered
from gateway.catalogue.table import DriverTable
from gateway.common.near import either, near
from gateway.common.text import quoted
from gateway.config import few, line_of, odd_character, parse_yaml, read_text, validate
from gateway.errors import DriverError, Problem

log = logging.getLogger(__name__)

_PACKAGED = Path(__file__).parent / "drivers"
_CHECKOUT = Path(__file__).parents[2] / "drivers"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def shipped_directory() -> Path:
    """Where the shipped tables are: in the package when installed, at the top of a checkout."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


def skeleton(name: str) -> str:
    """A commented table to start from; it passes the check as it is."""
    return (shipped_directory() / "skeleton.txt").read_text(encoding="utf-8").replace("{name}", name)


def not_here() -> list[tuple[str, str]]:
    """Meters that have no table, or lack rows of it: their names, and what a table would take."""
    text = (shipped_directory() / "not-here.txt").read_text(encoding="utf-8")
    lines = [line.split(" | ") for line in text.splitlines() if not line.startswith("#")]
    return [(names, why) for names, why in lines]


def shipped() -> list[Path]:
    """Every shipped table, by name."""
    return tables(shipped_directory())


def tables(directory: Path) -> list[Path]:
    """The tables in a directory, by name; none when it is not there or may not be read."""
    try:
        found = [path for path in directory.iterdir() if path.suffix == ".yaml"]
    except OSError:
        return []
    return sorted(found, key=lambda path: path.name)


def library(directory: Path | None = None) -> list[Driver]:
    """The shipped drivers, and a technician's own in their place or beside them, by name. Raises
    DriverError.
    """
    paths = {path.stem: path for path in shipped()}
    if directory is not None:
        paths |= {path.stem: path for path in tables(directory)}
    return [load_file(paths[name]) for name in sorted(paths)]


def load_driver(name: str, directory: Path | None = None, *, within: tuple[str, ...] = ()) -> Driver:
    """The driver of that name: a technician's own directory first, then the shipped tables. Raises
    DriverError.

    `within` are the drivers that are being loaded because they build on this one.
    """
    known = _known(directory)
    if name in known:
        return load_file(known[name], within=within)
    raise DriverError(
        [
            Problem(
                str((directory or shipped_directory()) / f"{name}.yaml"),
                1,
                "driver",
                *unknown(name, directory),
            )
        ]
    )


def find(name: str, directory: Path | None = None) -> Path | None:
    """The file of the table of that name, or None when there is none."""
    return _known(directory).get(name)


def unknown(name: str, directory: Path | None = None) -> tuple[str, str]:
    """What is wrong with the name of a table that there is not, and what to write."""
    names = near(name, sorted(_known(directory)), 3, likeness=0.5)
    return (
        f"there is no driver {quoted(name)}",
        f"did you mean {either(names)}?" if names else "see `submeter drivers list`",
    )


def _known(directory: Path | None) -> dict[str, Path]:
    """The tables by name; a technician's own win."""
    places = [shipped_directory(), *([directory] if directory is not None else [])]
    return {path.stem: path for place in places for path in tables(place)}


def load_file(path: Path, *, within: tuple[str, ...] = ()) -> Driver:
    """The driver in a file. Raises DriverError with every problem found."""
    text, problems = read_text(path)
    if text is None:
        raise DriverError(problems)
    return load_text(text, path.stem, str(path), within=within)


def load_text(text: str, name: str, file: str = "", *, within: tuple[str, ...] = ()) -> Driver:
    """The driver in a text; `name` is its file's stem. Raises DriverError with every problem found, and
    nothing else.
    """
    file = file or f"{name}.yaml"
    try:
        return _judge(text.removeprefix("\ufeff").replace("\r\n", "\n"), name, file, within)
    except DriverError:
        raise
    except Exception as error:
        # A table that nobody thought of: it must not end the reload of all the others.
        log.exception("%s: a table that cannot be judged", file)
        what = f"cannot be judged: {type(error).__name__}: {error}"
        raise DriverError([Problem(file, 1, "", what[:300], "take out what was changed last")]) from error


def _judge(text: str, name: str, file: str, within: tuple[str, ...]) -> Driver:
    if odd := odd_character(text, file):
        raise DriverError([odd])
    document, problems = parse_yaml(text, file)
    if document is None:
        raise DriverError(problems)
    head, problems = validate(TableHead, document, file, explain_head)
    if not _NAME.fullmatch(name):
        problems.append(
            Problem(
                file,
                1,
                "",
                f"{quoted(name)} is not a driver's name",
                "call the file maker-model.yaml, in small letters, digits and hyphens",
            )
        )
    if head is None:
        raise DriverError(sorted(problems))
    table = DriverTable(name, file, head, document, lambda other: _other(other, file, (*within, name)))
    problems += [
        Problem(
            file,
            line_of(document, ["absent", kind]),
            f"absent.{kind}",
            "is not a type",
            f"types are {', '.join(TYPES)}",
        )
        for kind in head.absent
        if kind not in TYPES
    ]
    driver = table.build()
    problems += table.problems
    if not (driver.rows or driver.discovery or problems):
        problems.append(
            Problem(
                file,
                line_of(document, ["registers"]),
                "registers",
                "has no rows",
                "write one line per register",
            )
        )
    if problems:
        raise DriverError(few(iter(sorted(set(problems))), file))
    return driver


def _other(name: str, file: str, within: tuple[str, ...]) -> Driver:
    """A driver that the one in `file` builds on: from beside it, or a shipped one. Raises DriverError."""
    if name in within:
        chain = " → ".join((*within[within.index(name) :], name))
        what = f"the drivers build on each other in a circle: {chain}"
        raise DriverError([Problem(file, 1, "like", what, "let one of them have its own registers")])
    return load_driver(name, Path(file).parent, within=within)


def own_rows(driver: Driver) -> int:
    """Rows that a table has for itself: all of them, or those that differ from the table that it is like.
    Raises DriverError.
    """
    mine = _places(driver)
    return len(mine - _places(load_driver(driver.like, Path(driver.path).parent)) if driver.like else mine)


def _places(driver: Driver) -> set[object]:
    rows = [
        *(offered(driver) if driver.discovery else driver.rows),
        *(row for variant in driver.variants for row in variant.rows),
    ]
    return {(row.name, row.spans, row.type, row.order, row.factor, row.mask, row.sign_bit) for row in rows}
