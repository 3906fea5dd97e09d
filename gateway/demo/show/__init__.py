"""The demonstration: the processes of a whole site, what is shown of them, and the self-check."""

from gateway.demo.show.console import run_demo

__all__ = ["run_demo"]
