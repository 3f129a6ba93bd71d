"""A recipe as a KerasTuner `HyperModel`, for a script of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import keras_tuner

from kmedtl.recipe import Recipe
from kmedtl.runs.train import build
from kmedtl.search.development import development
from kmedtl.search.objective import figures_of
from kmedtl.search.space import check, declare, recipe_of, tier_of
from kmedtl.search.trials import figure, fit
from kmedtl.system.scratch import Scratch


class RecipeHyperModel(keras_tuner.HyperModel):
    """What `kmedtl search` varies of a recipe, for any of KerasTuner's tuners; the trials run in this process.

    `fit` returns the task's figures (`val_auc`), `val_loss` and `score` of the best epoch: name one of them as the
    objective, with its direction, as in `keras_tuner.Objective("val_auc", "max")`. Images are read and divided once,
    when this is made; the test is no part of them.

    Raises:
        UserError: a recipe that cannot be searched, or whose images cannot be used.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(name=recipe.name)
        check(recipe)
        self.recipe, self._tier = recipe, tier_of(recipe)
        self._data = development(recipe)
        self._features = Scratch("features")  # vanishes with this object

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return the trial's model, from raw pixels to logits, not compiled."""
        model, _ = build(self.recipe_of(hp), self._data.question)
        return model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        **settings: Any,
    ) -> dict[str, float]:
        """Train the model in place as the trial's recipe says, and return its figures on validation.

        Args:
            callbacks: told once, when the best epoch's weights are in the model: KerasTuner's own saves them.
            settings: of `Model.fit`; without effect, since the recipe says what to do.
        """
        recipe, history = self.recipe_of(hp), []
        data = self._data.parts(0, recipe.data.batch_size)
        fit(
            recipe,
            model,
            data,
            self._data.question,
            self._tier,
            self._features.path,
            after_epoch=lambda epoch, number: history.append(epoch),
        )
        best = max(history, key=lambda epoch: epoch.selection_score)
        figures = {name: figure(best, name) for name in figures_of(recipe)}
        for callback in callbacks:
            callback.set_model(model)
            callback.on_epoch_end(len(history) - 1, figures)
        return figures

    def recipe_of(self, hp: keras_tuner.HyperParameters) -> Recipe:
        """Return the recipe of these values, to be run or written."""
        return recipe_of(self.recipe, declare(self.recipe, hp), self._tier)
