"""Energy in the daemon: the engine and the history, fed with what the journal holds."""

from gateway.daemon.energy.edited import check_known, check_quarters
from gateway.daemon.energy.progress import EnergyProgress
from gateway.daemon.energy.worker import EnergyWorker

__all__ = ["EnergyProgress", "EnergyWorker", "check_known", "check_quarters"]
