"""Find, read and check driver tables. Every problem of a file comes at once, with its line and its mend."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from gateway.catalogue.driver import TYPES, Discovery, Driver, Identity, Limits, Row, SerialDefaults, Variant
from gateway.catalogue.head import Head, IdentityPart, explain
from gateway.catalogue.registers import Defaults, parse_registers
from gateway.config.yamlfile import MAX_BYTES, line_of, parse_yaml, validate
from gateway.errors import DriverError, Problem

_PACKAGED = Path(__file__).parent / "drivers"
_CHECKOUT = Path(__file__).parents[2] / "drivers"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
_BLOCK = re.compile(r"^( *)(?:- )?( *)registers: \|[ \t]*(?:#.*)?\n((?:(?:\1 +\S.*|[ \t]*)(?:\n|$))*)", re.MULTILINE)


def shipped_directory() -> Path:
    """Where the shipped tables are: in the package when installed, at the top of a checkout."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


def shipped() -> list[Path]:
    """Every shipped table, by name."""
    return sorted(shipped_directory().glob("*.yaml"))


def load_driver(name: str, directory: Path | None = None) -> Driver:
    """The driver of that name: a technician's own directory first, then the shipped tables. Raises DriverError."""
    places = [place for place in (directory, shipped_directory()) if place is not None]
    if _NAME.fullmatch(name):
        for place in places:
            path = place / f"{name}.yaml"
            if path.is_file():
                return load_file(path)
    known = sorted({path.stem for place in places if place.is_dir() for path in place.glob("*.yaml")})
    near = difflib.get_close_matches(name, known, 3, 0.5)
    mend = f"did you mean {' or '.join(near)}?" if near else "see `submeter drivers list`"
    raise DriverError([Problem(str(places[0] / f"{name}.yaml"), 1, "driver", f"there is no driver {name!r}", mend)])


def load_file(path: Path) -> Driver:
    """The driver in a file. Raises DriverError with every problem found."""
    name = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DriverError([Problem(name, 1, "", f"is larger than {MAX_BYTES} bytes", "is this the right file?")])
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise DriverError([Problem(name, 1, "", f"cannot be read: {error.strerror}", "check the path and its permissions")]) from error
    except UnicodeDecodeError as error:
        raise DriverError([Problem(name, 1, "", f"is not UTF-8 text (byte {error.start})", "save it as UTF-8")]) from error
    return load_text(text, path.stem, name)


def load_text(text: str, name: str, file: str = "") -> Driver:
    """The driver in a text; `name` is its file's stem. Raises DriverError with every problem found."""
    file = file or f"{name}.yaml"
    blocks: dict[str, tuple[str, int]] = {}
    document, problems = parse_yaml(_lift(text.replace("\r\n", "\n"), blocks), file)
    if document is None:
        raise DriverError(problems)
    head, problems = validate(Head, document, file, explain)
    if not _NAME.fullmatch(name):
        problems.append(
            Problem(file, 1, "", f"{name!r} is not a driver's name", "call the file maker-model.yaml, in small letters, digits and hyphens")
        )
    if head is None:
        raise DriverError(sorted(problems))

    reads = head.reads
    defaults = Defaults(function=reads.function, order=reads.order, sentinels=dict(head.absent))
    problems += [
        Problem(file, line_of(document, ["absent", kind]), f"absent.{kind}", "is not a type", f"types are {', '.join(TYPES)}")
        for kind in head.absent
        if kind not in TYPES
    ]
    limits = Limits(reads.function, reads.max_registers, reads.min_gap, reads.timeout, reads.holes, reads.even)

    def rows_of(key: str) -> list[Row]:
        block, line = blocks.get(key, (key, 1))
        rows, found = parse_registers(block, line, file, defaults)
        problems.extend(found)
        return rows

    rows = rows_of(head.registers)
    problems += check_limits(rows, limits, file)
    variants = []
    for part in head.variants:
        own = rows_of(part.registers)
        replaced = {row.name for row in own} | set(part.without)
        whole = [row for row in rows if row.name not in replaced] + own
        problems += check_limits(own, limits, file)
        variants.append(Variant(part.name, identity_of(part.when), tuple(whole)))
    discovery = None
    if head.sunspec:
        models = tuple((part.ids, *blocks.get(part.registers, (part.registers, 1))) for part in head.sunspec.models)
        for part in head.sunspec.models:
            rows_of(part.registers)
        discovery = Discovery("sunspec", head.sunspec.bases, head.sunspec.take, head.sunspec.nth, models, head.sunspec.inverted)
    if not rows and not discovery and not problems:
        problems.append(Problem(file, line_of(document, ["registers"]), "registers", "has no rows", "write one line per register"))
    if problems:
        raise DriverError(sorted(set(problems)))
    return Driver(
        name=name,
        maker=head.maker,
        model=head.model,
        verified=head.verified,
        source=head.source,
        limits=limits,
        rows=tuple(rows),
        serial=SerialDefaults(head.serial.baudrate, head.serial.parity, head.serial.stopbits, head.serial.address),
        tcp_port=head.tcp,
        covers=head.covers,
        notes=head.notes,
        identity=identity_of(head.identity) if head.identity else None,
        variants=tuple(variants),
        discovery=discovery,
        path=file,
    )


def identity_of(part: IdentityPart) -> Identity:
    """The identity register of a head."""
    words = int(part.type[5:]) if part.type.startswith("text:") else TYPES[part.type]
    return Identity(part.function, part.address, words, part.type.partition(":")[0], part.values, part.alone, part.order)


def check_limits(rows: list[Row], limits: Limits, file: str) -> list[Problem]:
    """Rows that no read within the meter's limits can bring."""
    problems = []
    for row in rows:
        for span in row.spans:
            if span.words > limits.max_registers:
                what = f"has {span.words} registers, more than a read of this meter may have ({limits.max_registers})"
                problems.append(Problem(file, row.line, row.name, what, "check reads: max_registers"))
            if any(first < span.end and span.address <= last for first, last in limits.holes):
                problems.append(Problem(file, row.line, row.name, "stands in a hole that no read may touch", "check reads: holes"))
    return problems


def _lift(text: str, blocks: dict[str, tuple[str, int]]) -> str:
    """Take the register blocks out of the YAML: they are ours to parse, with exact lines and without the cost."""

    def note(match: re.Match[str]) -> str:
        start = text.count("\n", 0, match.start(3)) + 1
        key = f"@{start}"
        blocks[key] = (match[3], start)
        head = match[0][: match.start(3) - match.start(0)]
        return head.partition("registers:")[0] + f'registers: "{key}"\n' + "\n" * match[3].count("\n")

    return _BLOCK.sub(note, text)
