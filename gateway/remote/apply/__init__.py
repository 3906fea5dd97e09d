"""What needs root: a signed request is judged again, by keys that only root can change, tried, and taken back
when it does no good. submeter-apply.service runs it; it has no network.
"""

from gateway.remote.apply.applier import Applier, Places, RunningGateway, state_folder

__all__ = ["Applier", "Places", "RunningGateway", "state_folder"]
