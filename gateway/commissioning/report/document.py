"""The hand-over document as one HTML file for A4, which needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.common.templates import templates


def as_html(content: Mapping[str, Any], translate: Callable[[str], str], figures: Any) -> str:
    """The page; `figures` writes numbers and times as the language does (`number`, `whole`, `percent`,
    `full`, `span`).
    """
    page = templates(Path(__file__).parent / "templates").get_template("report.html")
    return page.render(r=content, _=translate, f=figures)
