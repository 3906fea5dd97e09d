"""What somebody far away needs to understand a gateway, without any secret of it."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from pathlib import Path
from typing import Any

from gateway.common.files import read_regular, read_secret
from gateway.config import Config

_HIDDEN = "(hidden)"
_SECRET_KEY = re.compile(r"pass|secret|token|key|user|credential|recipient|^cert$|^ca$", re.IGNORECASE)
"""Names of keys whose value is not shown, whatever it is: rather one too many."""
_PEM_LINE = re.compile(r"^[A-Za-z0-9+/=]{16,}$", re.MULTILINE)
MAX_FILE = 64 * 1024


def make_bundle(config: Config, facts: dict[str, Any]) -> dict[str, Any]:
    """`facts` (JSON values) with the configuration and what is known of this machine; reads files.

    Keys that may be secret are left out by their name; beside that, what stands in a file of a password or a
    token, in a private key or in such a key of the configuration is taken out of every text, wherever it
    came from.
    """
    plain = config.model_dump(mode="json", by_alias=True)
    whole = {**facts, "configuration": _without_secrets(plain), "machine": _machine(config)}
    secrets = sorted(_secrets(config, plain), key=len, reverse=True)
    if not secrets:
        return whole
    pattern = re.compile("|".join(map(re.escape, secrets)))
    cleaned: dict[str, Any] = _scrubbed(whole, pattern)
    return cleaned


def _without_secrets(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_secrets(each, key) for each in value]
    return _HIDDEN if value not in {None, ""} and _SECRET_KEY.search(key) else value


def _secrets(config: Config, plain: Any) -> set[str]:
    """Texts that must stand nowhere."""
    found: set[str] = set()
    for uplink in config.uplinks:
        for file in filter(None, (uplink.password_file, uplink.token_file)):
            with contextlib.suppress(OSError, ValueError):
                found.add(read_secret(Path(file)))
        if uplink.key:
            with contextlib.suppress(OSError):
                text = read_regular(Path(uplink.key), MAX_FILE).decode("ascii", "replace")
                found.update(_PEM_LINE.findall(text))
    _gather(plain, "", found)
    return {each for each in found if each}


def _gather(value: Any, key: str, found: set[str]) -> None:
    if isinstance(value, dict):
        for name, each in value.items():
            _gather(each, name, found)
    elif isinstance(value, list):
        for each in value:
            _gather(each, key, found)
    elif isinstance(value, str) and _SECRET_KEY.search(key):
        found.add(value)


def _scrubbed(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, dict):
        return {_scrubbed(name, pattern): _scrubbed(each, pattern) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_scrubbed(each, pattern) for each in value]
    return pattern.sub(_HIDDEN, value) if isinstance(value, str) else value


def _machine(config: Config) -> dict[str, Any]:
    """System, memory and disk as this process sees them."""
    state = Path(config.journal.directory)
    found: dict[str, Any] = {"system": platform.platform(), "python": platform.python_version()}
    with contextlib.suppress(OSError):
        found["load"] = list(os.getloadavg())
    with contextlib.suppress(OSError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found["memory"] = dict(line.split(":", 1) for line in lines[:3])
    with contextlib.suppress(OSError):
        disk = os.statvfs(state)
        found["disk_free"] = disk.f_bavail * disk.f_frsize
        found["files"] = {each.name: each.stat().st_size for each in sorted(state.iterdir())[:100]}
    return found
