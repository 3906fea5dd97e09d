"""What makes a gateway this gateway, in one encrypted file, and back from it onto an empty card."""

from gateway.backup.contents import Left, write_backup
from gateway.backup.envelope import Opener, Sealer, new_key, opener_for
from gateway.backup.platform import Sent, send_backup, small_backup
from gateway.backup.restore import Restored, restore

__all__ = [
    "Left",
    "Opener",
    "Restored",
    "Sealer",
    "Sent",
    "new_key",
    "opener_for",
    "restore",
    "send_backup",
    "small_backup",
    "write_backup",
]
