"""The platform's half: takes batches off the broker, stores each once, and says so in receipts. Knows only
model, wire and mqtt.
"""

from gateway.receiver.backups import BackupFolder
from gateway.receiver.broker import broker_link
from gateway.receiver.fleet.problems import SEVERITY
from gateway.receiver.fleet.reader import FleetReader, open_reader
from gateway.receiver.fleet.rows import FleetRow
from gateway.receiver.fleet.views import DayHistory, FleetTotals, FleetView, GatewayHistory
from gateway.receiver.intake import check_names, schema_check
from gateway.receiver.receipt_sender import Counts
from gateway.receiver.report import build as build_report
from gateway.receiver.service import Receiver, Signs
from gateway.receiver.store import SqliteStore, is_server, open_store

__all__ = [
    "SEVERITY",
    "BackupFolder",
    "Counts",
    "DayHistory",
    "FleetReader",
    "FleetRow",
    "FleetTotals",
    "FleetView",
    "GatewayHistory",
    "Receiver",
    "Signs",
    "SqliteStore",
    "broker_link",
    "build_report",
    "check_names",
    "is_server",
    "open_reader",
    "open_store",
    "schema_check",
]
