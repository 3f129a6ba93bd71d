"""A classifier of images: a backbone's features, pooled, into logits."""

from __future__ import annotations

import keras

from kmedtl.backbones.build import build_features
from kmedtl.recipe import Backbone, Head

POOLING = "head_pool"  # the layer whose output is one vector an image


def build_classifier(backbone: Backbone, head: Head, size: int, channels: int, findings: int) -> keras.Model:
    """Return a flat functional model from raw pixels to logits.

    Its input `image` is float32 (N, size, size, channels) in 0–255; its output `logits` is float32 (N, findings),
    above zero where a finding is more likely than not.

    Raises:
        UserError: an unknown backbone, or weights that cannot be had or do not fit.
    """
    image = keras.Input((size, size, channels), name="image")
    features = build_features(image, backbone.name, backbone.weights)
    pooled = keras.layers.GlobalAveragePooling2D(name=POOLING)(features)
    kept = keras.layers.Dropout(head.dropout, name="head_dropout")(pooled)
    logits = keras.layers.Dense(findings, name="logits")(kept)
    return keras.Model(image, logits, name="classifier")
