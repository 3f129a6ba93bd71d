"""The lines of any evaluation: its figures, and whether it beats a model that knows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kmedtl.statistics.confidence import Estimate
from kmedtl.system.titles import title
from kmedtl.tasks.task import Evaluation

NO_UNITS: Mapping[str, str] = MappingProxyType({})


def estimate_lines(evaluation: Evaluation, chance: float, units: Mapping[str, str] = NO_UNITS) -> list[str]:
    """Return a line a figure, and a sentence where the headline is no better than chance.

    Args:
        units: of figures that have one.
    """
    lines = [f"  {title(name, units.get(name, '')):<18} {one}" for name, one in evaluation.estimates.items()]
    warning = no_better_than_chance(evaluation, chance)
    return [*lines, f"  {warning}"] if warning else lines


def no_better_than_chance(evaluation: Evaluation, chance: float) -> str:
    """Return a sentence where the interval of the headline figure includes what knowing nothing gives, else nothing.

    Args:
        chance: the headline figure of a model that knows nothing.
    """
    return no_better(evaluation.headline, evaluation.estimates[evaluation.headline], evaluation.patients, chance)


def no_better(name: str, figure: Estimate, patients: int, chance: float) -> str:
    """Return as `no_better_than_chance`, of a figure by its name."""
    if not figure.low <= chance <= figure.high:
        return ""
    these = f"these {patients} patients" if patients > 1 else "this one patient"
    return f"The {title(name)}'s interval includes {chance:g}: on {these} the model can't be told from chance."
