"""What the platform said to a gateway that asked for its first certificate with the token of `submeter.yaml`.

The service's user asks and leaves the answer in the state directory; root takes it from there, writes it
beside the file that the token came in, and removes the token: it was of use once.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.common.files import MARK, read_regular, write_durably
from gateway.common.text import visible
from gateway.provisioning.boot_file import RESULT, wipe
from gateway.provisioning.secrets import ENDINGS

ENDING = ".enrolment"
MOST_BYTES = 64 * 1024
_NAME = re.compile(r"[a-z0-9-]{1,32}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Of one uplink: until which day (YYYY-MM-DD) its certificate is good, or why there is none."""

    uplink: str
    until: str = ""
    why: str = ""


def keep_answer(state: Path, enrolled: Enrolled) -> None:
    """Leave it for root. Raises OSError."""
    write_durably(state / f"{enrolled.uplink}{ENDING}", json.dumps(asdict(enrolled)).encode(), mode=0o600)


def tell_answers(
    boot: Iterable[Path], configuration: Path, state: Path, tell: Callable[[list[Enrolled]], str]
) -> list[Enrolled]:
    """Add what is new to the result on the partition, and remove the tokens that it speaks of. Raises OSError
    when a token cannot be removed.

    What lies in `state` may be of somebody who has taken the service over: its form is checked, and nothing
    else of it is believed.
    """
    files = sorted(state.glob(f"*{ENDING}"))
    found = [enrolled for file in files if (enrolled := _read(file)) is not None]
    if found:
        place = next((folder for folder in boot if (folder / RESULT).exists()), None)
        if place is not None:
            _add(place / RESULT, tell(found))
    for enrolled in found:
        wipe(configuration.with_name(enrolled.uplink + ENDINGS["token"]))
    for file in files:
        file.unlink()
    return found


def _read(file: Path) -> Enrolled | None:
    try:
        if file.is_symlink():
            return None
        told = Enrolled(**json.loads(read_regular(file, MOST_BYTES)))
        if told.until and not _DAY.fullmatch(told.until):
            return None
        named = _NAME.fullmatch(told.uplink) and file.name == told.uplink + ENDING
        return Enrolled(told.uplink, told.until, visible(told.why, 300)) if named else None
    except (OSError, ValueError, TypeError):
        return None


def _add(result: Path, text: str) -> None:
    """With the mark and the line ends that the result has. A partition that cannot be written costs nothing
    but that.
    """
    with contextlib.suppress(OSError):
        before = read_regular(result, MOST_BYTES).removeprefix(MARK)
        write_durably(result, MARK + before + f"\n{text}".replace("\n", "\r\n").encode())
