"""Write the JSON Schemas of every message, and the AsyncAPI document: python -m gateway.wire DIRECTORY."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from gateway.wire.asyncapi import document
from gateway.wire.published import schemas


def text_of(schema: dict[str, Any]) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def asyncapi_text() -> str:
    """The AsyncAPI document as it stands in its file."""
    return str(yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=110))


def main() -> None:
    """Write one file a message, and one for all."""
    directory = Path(sys.argv[1])
    for name, schema in schemas().items():
        (directory / f"{name}.schema.json").write_text(text_of(schema), encoding="utf-8")
    (directory / "asyncapi.yaml").write_text(asyncapi_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
