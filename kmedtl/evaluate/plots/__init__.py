"""The reports' figures. Each function returns a matplotlib Figure; nothing touches pyplot's global state."""

from kmedtl.evaluate.plots.decisions import (
    confusion,
    precision_recall,
    precision_recall_by_finding,
    roc,
    roc_by_finding,
    subgroups,
)
from kmedtl.evaluate.plots.probabilities import decision_curve, histogram, reliability, selective
from kmedtl.evaluate.plots.runs import data_efficiency, headlines, severities
from kmedtl.evaluate.plots.training import importance, losses, range_tests, validation

__all__ = ["confusion", "precision_recall", "precision_recall_by_finding", "roc", "roc_by_finding", "subgroups"]
__all__ += ["decision_curve", "histogram", "reliability", "selective"]
__all__ += ["data_efficiency", "headlines", "severities"]
__all__ += ["importance", "losses", "range_tests", "validation"]
