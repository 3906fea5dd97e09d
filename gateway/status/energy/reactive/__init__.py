"""The page `/reactive`: a month against its limits, and what became of the months before."""

from gateway.status.energy.reactive.past import judged_months
from gateway.status.energy.reactive.registers import main_meter, reactive_registers
from gateway.status.energy.reactive.view import ReactiveView, month_view, reactive_view

__all__ = ["ReactiveView", "judged_months", "main_meter", "month_view", "reactive_registers", "reactive_view"]
