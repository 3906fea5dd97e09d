"""The hand-over document: what a site is on the day it is handed over, as a page for paper and as JSON, each
sealed by a signature.
"""

from gateway.commissioning.report.document import as_html
from gateway.commissioning.report.seal import SealedReport, open_report, seal_html, seal_json

__all__ = ["SealedReport", "as_html", "open_report", "seal_html", "seal_json"]
