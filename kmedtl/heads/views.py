"""The outputs of a network that several images of one patient go through, one at a time, each as one of its view."""

from __future__ import annotations

from typing import Any

from keras import KerasTensor, layers


def linear(vector: KerasTensor, width: int, name: str, views: int = 0, **options: Any) -> KerasTensor:
    """Return an output of an image's vector, float32 (N, width): its last layer.

    With views it is (N, 2·V·width), as `kmedtl.edge.pooling.of_own_view` takes it apart: each view has weights of its
    own on the shared vector, whose mean over the views is a linear layer on all vectors put together; and for each view
    there are numbers that stand for it where it is missing. They are learned, and no image moves them.

    Args:
        options: of the layer.
    """
    if not views:  # half precision would tie scores
        return layers.Dense(width, name=name, dtype="float32", **options)(vector)
    own = layers.Dense(views * width, name=f"{name}_of_views", dtype="float32", **options)(vector)
    nothing = layers.Rescaling(0.0, name=f"{name}_nothing", dtype="float32")(vector)
    options = options | {"kernel_initializer": "zeros"}  # which stays: of nothing there is no gradient
    missing = layers.Dense(views * width, name=f"{name}_missing", dtype="float32", **options)(nothing)
    return layers.Concatenate(name=name, dtype="float32")([own, missing])
