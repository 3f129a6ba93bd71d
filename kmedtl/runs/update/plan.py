"""The recipe of an update, made of that of the run."""

from __future__ import annotations

from dataclasses import replace

from kmedtl.recipe import Recipe, Stage, Update
from kmedtl.runs.validate import recipe_for
from kmedtl.tasks.saved_run import SavedRun

L2_SP = 0.01
BETWEEN = (0.0, 0.25, 0.5, 0.75, 1.0)  # how far from the old weights to the tuned ones; validation picks one
LEAST_EPOCHS = 3
HEAD = Stage("update", "head", LEAST_EPOCHS, 1e-3)  # of a run that trained no network


def recipe_of_update(run: SavedRun, source: str) -> Recipe:
    """Return the recipe of an update: the run's own, with its last and deepest stage alone, held to the old weights.

    The stage trains what it trained, at its rate. L2-SP holds it near the old weights while it trains (Li et al., ICML
    2018), and validation, of old and new patients together, picks a point between both (Wortsman et al. 2022): the old
    weights themselves where the new labels make no sense.
    """
    own = recipe_for(run, source)
    last = own.stages[-1] if own.stages else HEAD
    epochs = max(last.epochs, LEAST_EPOCHS)
    stage = replace(last, name="update", epochs=epochs, l2_sp=L2_SP, interpolate=BETWEEN, batch_norm="frozen")
    stage = replace(stage, objective="supervised", unlabelled_weight=1.0)
    update, data = Update(str(run.folder.absolute())), replace(own.data, unlabelled="")
    return replace(own, data=data, stages=(stage,), schedule="stages", soup=(), distill="", update=update)
