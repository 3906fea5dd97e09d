"""What every register took in every quarter hour: a projection of committed batches in a file of its own."""

from gateway.history.beside.bills import BILLS, BillComparison, BilledAmount, bills, keep_bill
from gateway.history.beside.copies import copy_of, make_copy
from gateway.history.history import History
from gateway.history.holiday_process import holidays_of
from gateway.history.projection import Committed, Projection
from gateway.history.reader import DayValues, HistoryReader, Holiday
from gateway.history.schema import FILE
from gateway.history.sums import BuildingMeters

__all__ = [
    "BILLS",
    "FILE",
    "BillComparison",
    "BilledAmount",
    "BuildingMeters",
    "Committed",
    "DayValues",
    "History",
    "HistoryReader",
    "Holiday",
    "Projection",
    "bills",
    "copy_of",
    "holidays_of",
    "keep_bill",
    "make_copy",
]
