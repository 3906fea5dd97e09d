"""The only room that writes readings to disk: SQLite, one thread, one fdatasync per commit."""

from gateway.journal.journal import Journal
from gateway.journal.reader import JournalReader
from gateway.journal.stats import Backlog, JournalStats, SalvageProgress

__all__ = ["Backlog", "Journal", "JournalReader", "JournalStats", "SalvageProgress"]
