"""The hand-over document as one HTML file for A4, which needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def as_html(content: Mapping[str, Any], translate: Callable[[str], str], figures: Any) -> str:
    """The page; `figures` writes numbers and times as the language does (`number`, `whole`, `percent`,
    `full`, `span`).
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html")
    return page.render(r=content, _=translate, f=figures)
