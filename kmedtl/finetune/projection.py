"""The output of a contrastive stage: a projection of the vector before the head, which only that stage's graph has."""

from __future__ import annotations

import keras

from kmedtl.finetune.added_outputs import CONTRAST, added_output
from kmedtl.heads.build import penultimate
from kmedtl.recipe import Stage

PROJECTED = 128  # numbers of the output


def with_projection(model: keras.Model, stage: Stage, seed: int) -> keras.Model:
    """Return the model with a further output `contrast`, float32 (N, 128); without a contrastive stage as it is.

    The projection is a hidden layer as wide as the vector and a linear one (Chen et al., SimCLR, 2020, section 4.2).
    """
    if not stage.is_contrastive:
        return model
    vector = penultimate(model)
    projected = added_output(vector, CONTRAST, vector.shape[-1], PROJECTED, seed)
    return keras.Model(model.inputs, {**model.output, CONTRAST: projected})
