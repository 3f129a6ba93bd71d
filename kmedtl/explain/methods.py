"""The methods of explanation, by the name that `evaluation.explain` gives them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras
import numpy as np

from kmedtl.edge import occlusion as covering
from kmedtl.explain.gradients import Which, grad_cam, grad_cam_plus_plus, smooth_grad
from kmedtl.heads.build import tensors

# Model, images, what to explain, fields beside the images or None → maps.
Method = Callable[[keras.Model, np.ndarray, Which, np.ndarray | None], np.ndarray]


def occlusion(model: keras.Model, images: np.ndarray, which: Which, fields: np.ndarray | None = None) -> np.ndarray:
    """Return how far an output falls where a place is covered; see `kmedtl.edge.occlusion`."""
    name, column = which

    def score(batch: np.ndarray, beside: np.ndarray | None = None) -> np.ndarray:
        repeated = None if beside is None else np.repeat(beside[None], len(batch), axis=0)
        return model.predict_on_batch(tensors(batch, repeated))[name][:, column]

    if fields is None:
        return covering.occlusion(score, images)
    pairs = zip(images, fields, strict=True)
    return np.concatenate([covering.occlusion(partial(score, beside=row), image[None]) for image, row in pairs])


METHODS: dict[str, Method] = {
    "grad_cam": grad_cam,
    "grad_cam_plus_plus": grad_cam_plus_plus,
    "smooth_grad": smooth_grad,
    "occlusion": occlusion,
}
