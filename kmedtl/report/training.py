"""How a model learned, in figures and in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from kmedtl.files.digits import in_digits
from kmedtl.finetune.checkpoint import Checkpoint
from kmedtl.report import training_plots as plots
from kmedtl.system.titles import title
from kmedtl.tasks.task import Picture


def draw(trained: Checkpoint | None) -> Iterator[tuple[str, Picture]]:
    """Yield the curves of a training, and what adaptive stages and range tests found; nothing where none trained."""
    if trained is None:
        return
    if trained.history:
        history = pd.DataFrame([epoch.row() for epoch in trained.history])
        name = next(iter(trained.history[0].figures))
        shown = title(name.removeprefix("val_"))
        yield "losses", Picture(plots.losses(history), _losses_in_words(history))
        yield "validation", Picture(plots.validation(history, name, shown), _figure_in_words(history, name, shown))
    if trained.importance:
        parts = "; ".join(
            f"stage {stage}: " + ", ".join(f"{block} {value:.2g}" for block, value in blocks.items())
            for stage, blocks in trained.importance.items()
        )
        yield "importance", Picture(plots.importance(trained.importance), f"Gradient beside weights by block. {parts}.")
    if trained.range_tests:
        parts = "; ".join(f"stage {stage}: rate {tested.lr:.1e}" for stage, tested in trained.range_tests.items())
        yield "range_tests", Picture(plots.range_tests(trained.range_tests), f"Loss over rate; chosen: {parts}.")


def _losses_in_words(history: pd.DataFrame) -> str:
    epochs = history[history["alpha"] == 1]
    judged = epochs["val_loss"].dropna()  # not of stages that learn without labels
    return (
        f"Losses over {len(epochs)} epochs: of training {epochs['loss'].iloc[0]:.3f} at first, "
        f"{epochs['loss'].iloc[-1]:.3f} at last; of validation {judged.iloc[0]:.3f} and {judged.iloc[-1]:.3f}."
    )


def _figure_in_words(history: pd.DataFrame, column: str, name: str) -> str:
    epochs = history[history["alpha"] == 1].reset_index(drop=True)
    if epochs[column].isna().all():
        return f"Validation {name} over {len(epochs)} epochs: validation cannot tell it."
    best = int(np.nanargmax(epochs["score"].to_numpy(float))) if epochs["score"].notna().any() else 0
    return (
        f"Validation {name} over {len(epochs)} epochs: {in_digits(epochs[column].dropna().iloc[0])} at first, "
        f"{in_digits(epochs[column][best])} in epoch {best + 1}, the best."
    )
