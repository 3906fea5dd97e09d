"""The seal of a report: a signature over all of it, so that a change of any character is found.

A page is signed as the bytes before its last line, which is a comment with the seal; JSON as the canonical
text of its `report` (keys sorted, no blanks, UTF-8), in a file as `seal_json` writes it: what another reader
could understand in another way (a key that is there twice, something beside the seal) is a change, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

MARK: Final = "submeter-seal"
_LAST_LINE: Final = re.compile(
    rb"<!-- submeter-seal ([0-9a-f]{64}) ([0-9a-f]{128}) ([a-z0-9-]{1,32}) -->\n\Z"
)
Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class SealedReport:
    """A report as it was found: what was signed, by which public key (raw) and of which gateway."""

    data: bytes
    public: bytes
    signature: bytes
    gateway: str


def seal_html(page: str, gateway: str, public: bytes, sign: Sign) -> bytes:
    """The page with its seal as the last line."""
    data = (page.rstrip() + "\n").encode()
    whole = _with_gateway(data, gateway)
    return data + f"<!-- {MARK} {public.hex()} {sign(whole).hex()} {gateway} -->\n".encode()


def seal_json(content: Mapping[str, Any], gateway: str, public: bytes, sign: Sign) -> str:
    """The report with its seal beside it."""
    whole = _with_gateway(_canonical(content), gateway)
    seal = {"gateway": gateway, "public": public.hex(), "signature": sign(whole).hex()}
    return _text({"report": content, "seal": seal})


def open_report(data: bytes) -> SealedReport | None:
    """The seal of a page or of JSON; None when there is none, or nothing that could be one."""
    if (found := _LAST_LINE.search(data)) is not None:
        public, signature, gateway = found.groups()
        name = gateway.decode()
        whole = _with_gateway(data[: found.start()], name)
        return SealedReport(whole, _bytes(public.decode()), _bytes(signature.decode()), name)
    try:
        body = json.loads(data)
        seal = {key: body["seal"][key] for key in ("gateway", "public", "signature")}
        if _text({"report": body["report"], "seal": seal}).encode() != data:
            return None
        public, signature, name = (
            _bytes(seal["public"]),
            _bytes(seal["signature"]),
            seal["gateway"],
        )
        return SealedReport(
            _with_gateway(_canonical(body["report"]), str(name)), public, signature, str(name)
        )
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, indent=1) + "\n"


def _with_gateway(data: bytes, gateway: str) -> bytes:
    """What is signed begins with what it is, so that no other signed text can be taken for it."""
    return f"{MARK} {gateway}\n".encode() + data


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _bytes(text: str) -> bytes:
    """From hex as it was written: another way to write the same bytes is a change, too. Raises ValueError."""
    data = bytes.fromhex(text)
    if data.hex() != text:
        raise ValueError(text)
    return data
