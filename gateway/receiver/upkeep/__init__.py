"""What is done beside receiving, in a thread and over a connection of its own: rollups follow the readings,
and what is older than is to be kept goes.
"""

from gateway.receiver.upkeep.thread import Upkeep
from gateway.receiver.upkeep.work import open_work

__all__ = ["Upkeep", "open_work"]
