"""python -m tests.audit: are faults known of the libraries that are installed with the gateway?

The database of https://osv.dev is asked for each version of requirements/runtime.lock; where it cannot be
reached, that is said in one line, and nothing fails.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements" / "runtime.lock"
SERVICE = "https://api.osv.dev/v1/querybatch"
VARIABLE = "SUBMETER_OSV"
"""Names another address of the service: for tests, and for a mirror."""
PATIENCE = 15.0
"""s that the service may take."""
ACCEPTED: dict[str, str] = {}
"""Id of a fault → why it does not concern the gateway."""
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


def locked(text: str) -> list[tuple[str, str]]:
    """(name, version) of each library of a lock."""
    return sorted(set(_PINNED.findall(text)))


def known_faults(libraries: list[tuple[str, str]], service: str) -> dict[str, list[str]]:
    """Name and version → ids of its known faults (https://google.github.io/osv.dev/post-v1-querybatch/).

    Raises OSError, ValueError where the service gives none.
    """
    queries = [
        {"package": {"ecosystem": "PyPI", "name": name}, "version": version} for name, version in libraries
    ]
    request = urllib.request.Request(
        service, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        body: dict[str, Any] = json.load(answer)
    results = body.get("results", [])
    if len(results) != len(libraries):
        raise ValueError(f"{len(results)} answers to {len(libraries)} questions")
    return {
        f"{name} {version}": sorted({fault["id"] for fault in result["vulns"]} - ACCEPTED.keys())
        for (name, version), result in zip(libraries, results, strict=True)
        if {fault["id"] for fault in result.get("vulns", ())} - ACCEPTED.keys()
    }


def main(lock: Path = LOCK) -> int:
    """0 when nothing is known, or when nobody can be asked."""
    libraries = locked(lock.read_text())
    try:
        faults = known_faults(libraries, os.environ.get(VARIABLE, SERVICE))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"audit: the database of known faults cannot be asked ({error}): not audited")
        return 0
    for library, ids in faults.items():
        print(f"audit: {library} has known faults: {', '.join(ids)} (https://osv.dev/vulnerability/{ids[0]})")
    if not faults:
        print(f"audit: no fault is known of the {len(libraries)} libraries of {lock.name}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
