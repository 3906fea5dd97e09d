"""Builds the parts from the configuration, connects them, runs, reloads and stops them."""

from gateway.daemon.daemon import Daemon
from gateway.daemon.own_meter import read_itself
from gateway.daemon.service.waiting import Waiting

__all__ = ["Daemon", "Waiting", "read_itself"]
