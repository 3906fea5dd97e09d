"""Builds the parts from the configuration, connects them, runs, reloads and stops them."""

from gateway.daemon.daemon import Daemon

__all__ = ["Daemon"]
