"""What few programs ask for, and then needs memory: the metrics, with Prometheus' own library."""

from typing import TYPE_CHECKING

from gateway.common.on_demand import on_demand

if TYPE_CHECKING:
    from gateway.status import metrics

__all__ = ["metrics"]

if not TYPE_CHECKING:
    __getattr__ = on_demand(globals(), "gateway.status", {}, {"metrics": "metrics"})
