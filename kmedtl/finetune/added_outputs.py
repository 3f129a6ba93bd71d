"""Outputs that a stage's own graph has beside those of the task; validation, the test and every file know none."""

from __future__ import annotations

from typing import Any

import keras
from keras import KerasTensor, layers

DOMAIN = "domain"  # logits of which domain an image is of (`kmedtl.finetune.adversarial`)
CONTRAST = "contrast"  # a projection that tells images apart (`kmedtl.finetune.projection`)


def added_output(vector: KerasTensor, name: str, hidden: int, width: int, seed: int) -> KerasTensor:
    """Return an output (N, width), float32, of a hidden layer and a linear one on a vector (N, D)."""
    start = keras.initializers.GlorotUniform
    inner = layers.Dense(hidden, activation="relu", kernel_initializer=start(seed), name=f"{name}_hidden")(vector)
    return layers.Dense(width, kernel_initializer=start(seed + 1), name=name, dtype="float32")(inner)


def answers(model: keras.Model) -> dict[str, Any]:
    """Return the outputs that the task asks for, by name."""
    return {name: output for name, output in model.output.items() if name not in (DOMAIN, CONTRAST)}
