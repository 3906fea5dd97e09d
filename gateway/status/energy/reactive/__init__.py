"""The page `/reactive`: this month against its limits, and what became of the months before."""

from gateway.status.energy.reactive.view import ReactiveView, reactive_view

__all__ = ["ReactiveView", "reactive_view"]
