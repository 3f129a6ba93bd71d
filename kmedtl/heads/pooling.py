"""From a feature map to one vector an image: what heads are made of, whatever the task."""

from __future__ import annotations

import keras
from keras import KerasTensor, layers

from kmedtl.recipe import Head

POOLING = "head_pool"  # the layer whose output is one vector an image; only there if pooling has no weights

STANDARD = "head_standard"  # the layer that knows mean and variance of that vector, where a recipe asks for it
LEAST_VARIANCE = 1e-4  # is added to each: what hardly varies is not blown up


def vector_of(features: KerasTensor, head: Head) -> KerasTensor:
    """Return one vector an image (batch, D) of a feature map (batch, h, w, C), dropped out in training."""
    return layers.Dropout(head.dropout, name="head_dropout")(HEADS[head.kind](features, head))


def pooling_of(model: keras.Model) -> keras.Layer | None:
    """Return the layer that pools by a plain average, before which the head has nothing to train; None: it learns."""
    return next((layer for layer in model.layers if layer.name == POOLING), None)


def _linear(features: KerasTensor, head: Head) -> KerasTensor:
    vector = layers.GlobalAveragePooling2D(name=POOLING)(features)
    if not head.standardise:
        return vector
    return layers.BatchNormalization(center=False, scale=False, epsilon=LEAST_VARIANCE, name=STANDARD)(vector)


def _mlp(features: KerasTensor, head: Head) -> KerasTensor:
    # ReLU6: its range is known, so the int8 file spends all its steps on it.
    return layers.Dense(head.hidden, activation="relu6", name="head_hidden")(_linear(features, head))


def _attention_pool(features: KerasTensor, head: Head) -> KerasTensor:
    """Return Σ aₖhₖ over the places k of the feature map, with a = softmax of wᵀ(tanh(V hₖ) ⊙ sigmoid(U hₖ)).

    Source: Ilse et al., Attention-based Deep Multiple Instance Learning (2018), equations 7 and 9 (gated).
    """
    height, width, channels = features.shape[1:]
    content = layers.Conv2D(head.hidden, 1, activation="tanh", name="head_attention_content")(features)
    gate = layers.Conv2D(head.hidden, 1, activation="sigmoid", name="head_attention_gate")(features)
    gated = layers.Multiply(name="head_attention_gated")([content, gate])
    score = layers.Conv2D(1, 1, name="head_attention_score")(gated)
    scores = layers.Reshape((1, height * width), name="head_attention_scores")(score)
    attention = layers.Softmax(name="head_attention")(scores)
    places = layers.Reshape((height * width, channels), name="head_places")(features)
    attended = layers.Dot(axes=(2, 1), name="head_attended")([attention, places])
    return layers.Reshape((channels,), name="head_attended_vector")(attended)


# Beside a map, a vector is what a linear head makes.
HEADS = {"linear": _linear, "mlp": _mlp, "attention_pool": _attention_pool, "unet": _linear}
