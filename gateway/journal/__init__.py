"""The only room that writes readings to disk: SQLite, one thread, one fdatasync per commit.

`file/` is one SQLite file, `recovery/` a damaged one; `file` knows nothing of `recovery`.
"""

from gateway.journal.journal import Journal
from gateway.journal.reader import JournalReader, batch_json
from gateway.journal.recovery.scan import PageScan
from gateway.journal.stats import JournalStats, SalvageProgress

__all__ = ["Journal", "JournalReader", "JournalStats", "PageScan", "SalvageProgress", "batch_json"]
