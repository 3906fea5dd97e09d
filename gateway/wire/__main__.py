"""Write the JSON Schemas of every message: python -m gateway.wire DIRECTORY."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gateway.wire.published import schemas


def text_of(schema: dict[str, Any]) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write one file a message."""
    directory = Path(sys.argv[1])
    for name, schema in schemas().items():
        (directory / f"{name}.schema.json").write_text(text_of(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
