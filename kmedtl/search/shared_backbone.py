"""A backbone that trials share: where heads alone train, building it anew takes a fifth of a trial's time."""

from __future__ import annotations

import random
from functools import lru_cache

import keras

from kmedtl.heads.build import BackboneGraph, backbone_graph
from kmedtl.recipe import Backbone, Recipe


def shared_backbone(recipe: Recipe) -> BackboneGraph:
    """Return the recipe's backbone, that of the trial before if it had the same; nobody may train it.

    A head on it begins with the weights that it would have on one just built: Keras draws them with Python's `random`,
    which goes on from where building the backbone left it. The backbone keeps each head that it ever had, as long as
    the process lives.

    Raises:
        UserError: as of `kmedtl.heads.build.build_model`.
    """
    data = recipe.data
    graph, state = _built(recipe.backbone, data.size, data.channels, recipe.seed)
    random.setstate(state)
    return graph


@lru_cache(maxsize=1)
def _built(backbone: Backbone, size: int, channels: int, seed: int) -> tuple[BackboneGraph, tuple]:
    keras.utils.set_random_seed(seed)
    return backbone_graph(backbone, size, channels), random.getstate()
