"""The part of a recipe that says what `kmedtl search` varies, and how it goes about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kmedtl.errors import UserError, expect

Value = bool | int | float | str
NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
COMPACT = re.compile(rf"(?:(log|linear) +)?{NUMBER} *\.\. *{NUMBER}")


@dataclass(frozen=True)
class Span:
    """Every number from `min` to `max`, both included; whole ones where the setting is a whole number.

    Attributes:
        scale: `log` draws evenly from the logarithm, as rates ask for.
    """

    min: float
    max: float
    scale: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        expect(self.min < self.max, "search.space", "a range whose min is below its max", f"{self.min:g}..{self.max:g}")
        expect(self.scale == "linear" or self.min > 0, "search.space", "a log range above 0", f"{self.min:g}")


Range = Span | tuple[Value, ...]


@dataclass(frozen=True)
class Search:
    """A search over recipes: what varies, by which strategy, for how long.

    Attributes:
        space: path of a setting → its range: a list of choices, `{min: 1e-4, max: 1e-2, scale: log}`, or the same
            spelt `log 1e-4..1e-2`. Empty: rate, decay, smoothing and shape of the head (`kmedtl.search.space`).
        trials: at most so many.
        tuner: KerasTuner's oracle: `bayesian` (a Gaussian process), `random`, `hyperband` (Li et al., JMLR 2018: short
            trials first, the better third goes on) or `grid`.
        objective: of validation: the task's `headline`, any of its figures by name (`val_auc`, `val_mae`), `val_loss`,
            or `score`, which is what `training.select` names.
        hours: no trial begins after so long; 0: no bound.
        folds: judge a trial by the mean over so many patient-disjoint parts of training and validation together; 0: on
            the validation images.
        tier: `head` trains the head alone, on features computed once; `full` trains all stages; `auto`: `head` where
            nothing varies but the head and how it trains.
        prune: `median` ends a trial that is, after two epochs or more, worse than the median of the earlier ones at
            that epoch, of five or more (Golovin et al., Google Vizier, KDD 2017, section 3.2); `hyperband` has a way
            of its own.
    """

    space: Mapping[str, str | tuple[Value, ...] | Span] = field(default_factory=dict)
    trials: int = 30
    tuner: Literal["bayesian", "random", "hyperband", "grid"] = "bayesian"
    objective: str = "headline"
    hours: float = 0.0
    folds: int = 0
    tier: Literal["auto", "head", "full"] = "auto"
    prune: Literal["median", "none"] = "median"

    def __post_init__(self) -> None:
        expect(self.trials >= 1, "search.trials", "at least 1", self.trials)
        expect(self.hours >= 0, "search.hours", "0 or more", self.hours)
        expect(self.folds == 0 or 2 <= self.folds <= 100, "search.folds", "0, or 2 to 100", self.folds)
        for path, choices in self.ranges.items():
            if isinstance(choices, tuple):
                _check_choices(path, choices)

    @property
    def ranges(self) -> dict[str, Range]:
        """The space, whichever way it is spelt."""
        return {path: parse(path, said) if isinstance(said, str) else said for path, said in self.space.items()}


def parse(path: str, text: str) -> Span:
    """Return the range that a text such as `log 1e-4..1e-2` or `0..0.5` spells.

    Raises:
        UserError: another text, or an empty range.
    """
    match = COMPACT.fullmatch(text.strip())
    if match is None:
        raise UserError(
            f"search.space: {path}: expected a list of choices, or a range such as 0..0.5 or log 1e-4..1e-2. "
            f"Received: {text!r}."
        )
    return Span(float(match[2]), float(match[3]), "log" if match[1] == "log" else "linear")


def _check_choices(path: str, choices: tuple[Value, ...]) -> None:
    expect(len(choices) > 0, f"search.space: {path}", "one choice or more", list(choices))
    expect(len(set(choices)) == len(choices), f"search.space: {path}", "distinct choices", list(choices))
    kinds = {float if type(choice) is int else type(choice) for choice in choices}
    expect(len(kinds) == 1, f"search.space: {path}", "choices of one kind", list(choices))
