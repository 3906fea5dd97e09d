"""Put items into a section of a configuration that a person wrote, and leave the rest as it is."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.common.files import replacing, write_durably
from gateway.config.yamlfile import MappingNode, Node, SequenceNode, nodes_of
from gateway.errors import GatewayError


def with_items(text: str, section: str, lines: Sequence[str]) -> str:
    """The text with these lines (items, indented by two) at the end of a section, which is made when it is
    not there. Raises GatewayError for a section whose form leaves no place for them.
    """
    if not lines:
        return text
    root = nodes_of(text)
    if root is None:
        return _ended(text) + "\n".join([f"{section}:", *lines]) + "\n"
    value = next((value for key, value in root.value if key.value == section), None)
    if value is None:
        return _ended(text) + "\n" + "\n".join([f"{section}:", *lines]) + "\n"
    rows = text.split("\n")
    if isinstance(value, SequenceNode) and value.value and not value.flow_style:
        last = value.value[-1]
        column = _dash_of(rows, value.value[0])
        at = _end_of(rows, last.start_mark.line, column)
        pad = " " * column
        rows[at:at] = [pad + line.removeprefix("  ") for line in lines]
        return "\n".join(rows)
    empty = not value.value if isinstance(value, SequenceNode) else value.value in ("", "null", "~")
    if empty:
        line = _key_line(root, section)
        head, _, rest = rows[line].partition(":")
        comment = rest[rest.index("#") :] if "#" in rest else ""
        end = max(line, value.end_mark.line if value.end_mark.column else line)
        inside = ["  " + row[row.index("#") :] for row in rows[line + 1 : end + 1] if "#" in row]
        rows[line : end + 1] = [f"{head}:" + (f"  {comment}" if comment else ""), *inside, *lines]
        return "\n".join(rows)
    raise GatewayError(
        f"{section} is written in one line, with brackets: there is no place for more lines",
        hint="write each item on a line of its own, begun with a dash, and try again",
    )


def with_value(text: str, section: str, item: str, key: str, value: str) -> str:
    """The text with `key: value` (as YAML has it) at the item of a section that has this `id` or `name`.
    Raises GatewayError for an item that is not there, or that is written in one line.
    """
    root = nodes_of(text)
    sections = {name.value: node.value for name, node in root.value} if root else {}
    for node in sections.get(section, ()):
        pairs = {name.value: (name, found) for name, found in node.value}
        called = pairs.get("id") or pairs.get("name")
        if called is None or called[1].value != item or node.flow_style:
            continue
        rows = text.split("\n")
        if key in pairs:
            mark = pairs[key][1]
            line, end = mark.start_mark.line, mark.end_mark.line
            if line == end:
                row = rows[line]
                rows[line] = row[: mark.start_mark.column] + value + row[mark.end_mark.column :]
                return "\n".join(rows)
        else:
            last = called[0].start_mark.line
            rows.insert(last + 1, " " * called[0].start_mark.column + f"{key}: {value}")
            return "\n".join(rows)
    raise GatewayError(
        f"{key}: {value} cannot be written at {item} of {section}: it has no line of its own there",
        hint="write it by hand, then submeter check and submeter reload",
    )


def with_keys(text: str, section: str, values: Mapping[str, object]) -> str:
    """The text with these keys in a section of keys (`gateway:`), which is made when it is not there; what
    stands beside them stays. Raises GatewayError for a section that is written in one line.
    """
    # Each new key comes first in its section: the last one is put there before the others.
    for key, value in reversed(list(values.items())):
        line = f"{key}: {json.dumps(value, ensure_ascii=False)}"
        root = nodes_of(text)
        pairs = {name.value: (name, node) for name, node in root.value} if root else {}
        if section not in pairs:
            text = _ended(text) + f"\n{section}:\n  {line}\n"
            continue
        head, node = pairs[section]
        rows = text.split("\n")
        if isinstance(node, MappingNode) and node.flow_style:
            raise GatewayError(
                f"{section} is written in one line, with brackets: there is no place for more lines",
                hint="write each key on a line of its own, and try again",
            )
        known = {name.value: found for name, found in node.value} if isinstance(node, MappingNode) else {}
        if key in known and known[key].start_mark.line == known[key].end_mark.line:
            mark = known[key]
            row = rows[mark.start_mark.line]
            word = line.partition(": ")[2]
            row = row[: mark.start_mark.column] + word + row[mark.end_mark.column :]
            rows[mark.start_mark.line] = row
        elif key in known:
            raise GatewayError(
                f"{section}.{key} takes several lines: they are not written over",
                hint="write it by hand, then submeter check and submeter reload",
            )
        else:
            column = node.value[0][0].start_mark.column if known else 2
            rows.insert(head.start_mark.line + 1, " " * column + line)
        text = "\n".join(rows)
    return text


def _key_line(root: MappingNode, section: str) -> int:
    return int(next(key.start_mark.line for key, _ in root.value if key.value == section))


def _dash_of(rows: list[str], item: Node) -> int:
    """The column of the dash before an item; an anchor may stand between them, or a new line."""
    number = item.start_mark.line
    while not rows[number].lstrip().startswith("-"):
        number -= 1
    return len(rows[number]) - len(rows[number].lstrip())


def _end_of(rows: list[str], line: int, column: int) -> int:
    """The line behind the last one that belongs to an item which begins on `line`; comments that stand below
    it at the margin belong to what follows.
    """
    end = line + 1
    for number in range(line + 1, len(rows)):
        row = rows[number]
        if not row.strip():
            continue
        if len(row) - len(row.lstrip()) <= column:
            break
        end = number + 1
    return end


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def write_beside(path: Path, text: str) -> Path:
    """Put the new text in place of the file, whole or not at all; the old one is kept beside it as
    `<name>.old`, which is given back. Raises GatewayError.
    """
    old = path.with_name(path.name + ".old")
    try:
        about = path.stat()
        mode, owner = stat.S_IMODE(about.st_mode), (about.st_uid, about.st_gid)
        with replacing(path, mode=mode, owner=owner) as new:
            new.write(text.encode())
            new.flush()  # a disk without room is told before the old copy goes
            write_durably(old, path.read_bytes(), mode=mode, owner=owner)
    except OSError as error:
        raise GatewayError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="use sudo, or write the lines by hand",
        ) from error
    return old
