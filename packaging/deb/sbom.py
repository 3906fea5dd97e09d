"""What is inside the package, for whoever looks for a vulnerable version: a CycloneDX 1.6 list."""

from __future__ import annotations

import hashlib
import json
import uuid
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from deb.libraries import Part
from deb.target import Target

_SPACE = uuid.UUID("6f0c2d0e-3f2b-5b0e-9d53-2f1a3f4b6c10")
"""Of the serial numbers of our lists: the same package has the same number."""


def sbom(parts: Iterable[Part], target: Target, *, version: str, epoch: int) -> str:
    """The list as JSON: each library with version, license and the hash to which its file was held."""
    name = f"submeter-gateway {target.version(version)} {target.architecture}"
    own = f"pkg:deb/submeter-gateway@{target.version(version)}?arch={target.architecture}"
    components = [_component(part) for part in parts]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, name)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z"),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "submeter-gateway",
                "version": target.version(version),
                "purl": own,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components,
        "dependencies": [{"ref": own, "dependsOn": sorted(each["bom-ref"] for each in components)}],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _component(part: Part) -> dict[str, Any]:
    about = _metadata(part.wheel)
    purl = f"pkg:pypi/{about['Name'].lower().replace('_', '-')}@{about['Version']}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": about["Name"],
        "version": about["Version"],
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(part.held.read_bytes()).hexdigest()}],
    }
    if about["Summary"]:
        component["description"] = about["Summary"]
    if about["License-Expression"]:
        component["licenses"] = [{"expression": about["License-Expression"]}]
    elif named := _license(about):
        component["licenses"] = [{"license": {"name": named}}]
    return component


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode())


def _license(about: Message) -> str:
    """A license by its name: the field if it is one line, else the classifier."""
    said = (about["License"] or "").strip()
    if said and "\n" not in said:
        return said
    classified = (line for line in about.get_all("Classifier", []) if line.startswith("License :: "))
    return next(classified, "").rpartition(" :: ")[2]
